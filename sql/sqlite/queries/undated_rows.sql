-- purpose: rows whose created_at no window can see: none at all, or no time
-- index: none, the table is read once in the order of its rows
-- touches: files (once)
SELECT {uid} AS uid,
       0 AS created_us,
       {location} AS location,
       NULL AS size_bytes,
       {created_at} AS page_created_at,
       {row_key} AS page_key
FROM {files}
WHERE {row_key} > :page_key
  AND NOT {is_time}
ORDER BY {row_key}
LIMIT :page_size;
