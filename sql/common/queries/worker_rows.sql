-- purpose: the rows of a window that a sharded worker may own; if the bucket is NULL it looks itself
-- index: {created_at_index}
-- touches: files (bounded by the window)
SELECT {uid_text} AS uid,
       {created_us} AS created_us,
       {location} AS location,
       {size_number} AS size_bytes
FROM {files}
WHERE {in_window}
  AND COALESCE(MOD(({routing_number}) & :bucket_mask, :workers_total) = :worker_id, TRUE)
ORDER BY {created_at};
