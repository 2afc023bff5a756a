-- purpose: the rows of a window that a static worker may own; where the bucket is NULL it looks itself
-- index: {created_at_index}
-- touches: files (bounded by the window)
SELECT CAST({uid} AS text) AS uid,
       CAST(EXTRACT(EPOCH FROM {created_at}) * 1000000 AS bigint) AS created_us,
       {location} AS location,
       {size_number} AS size_bytes
FROM {files}
WHERE {created_at} > :start_at AND {created_at} <= :end_at
  AND COALESCE(MOD(({routing_number}) & :bucket_mask, :workers_total) = :worker_id, TRUE)
ORDER BY {created_at};
