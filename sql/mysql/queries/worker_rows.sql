-- purpose: the rows of a window that a static worker may own; where the bucket is NULL it looks itself
-- index: {created_at_index}
-- touches: files (bounded by the window)
SELECT {uid} AS uid,
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', {created_at}) AS created_us,
       {location} AS location,
       {size_number} AS size_bytes
FROM {files}
WHERE {created_at} > :start_at AND {created_at} <= :end_at
  AND COALESCE(MOD(({routing_number}) & :bucket_mask, :workers_total) = :worker_id, TRUE)
ORDER BY {created_at};
