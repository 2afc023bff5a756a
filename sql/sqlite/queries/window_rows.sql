-- purpose: the rows of a window, streamed in one statement or read in pages
-- index: {created_at_index}
-- touches: files (bounded by the window)
SELECT {uid} AS uid,
       {created_us} AS created_us,
       {location} AS location,
       {size_number} AS size_bytes,
       {created_at} AS page_created_at,
       {row_key} AS page_key
FROM {files}
WHERE {created_at} >= :page_created_at AND {created_at} < :net_end
  AND ({created_at}, {row_key}) > (:page_created_at, :page_key)
  AND {created_at_utc} BETWEEN :start_at || '0' AND :end_at
ORDER BY {created_at}, {row_key}
LIMIT :page_size;
