-- purpose: rows of a range that the per-record way has not marked
-- index: {created_archived_index}
-- touches: files (bounded by the range)
SELECT {uid} AS uid,
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', {created_at}) AS created_us,
       {location} AS location,
       {size_number} AS size_bytes
FROM {files}
WHERE {created_at} > :start_at AND {created_at} <= :end_at
  AND {archived} = FALSE
ORDER BY {created_at};
