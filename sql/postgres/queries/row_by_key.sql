-- purpose: one row of files by uid and created_at
-- index: {created_at_index} or the key on uid
-- touches: files (one row)
SELECT CAST({uid} AS text) AS uid, {location} AS location, {size_number} AS size_bytes
FROM {files}
WHERE {created_at} > :start_at AND {created_at} <= :end_at
  AND {uid_is};
