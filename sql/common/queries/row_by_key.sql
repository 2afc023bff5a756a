-- purpose: one row of files by uid and created_at
-- index: {created_at_index} or the key on uid
-- touches: files (one row)
SELECT {uid_text} AS uid, {location} AS location, {size_number} AS size_bytes
FROM {files}
WHERE {in_window}
  AND {uid_is};
