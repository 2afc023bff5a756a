-- purpose: rows of a range that per-record mode has not marked
-- index: {created_archived_index}
-- touches: files (bounded by the range)
SELECT {uid_text} AS uid,
       {created_us} AS created_us,
       {location} AS location,
       {size_number} AS size_bytes
FROM {files}
WHERE {in_window}
  AND {archived} = FALSE
ORDER BY {created_at};
