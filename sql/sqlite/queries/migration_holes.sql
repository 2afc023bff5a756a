-- purpose: rows not archived at or below the initial watermark, the first page  -- first page
-- purpose: rows not archived at or below the initial watermark, the page after a row; it may begin with that row again  -- next page
-- index: {created_archived_index}, or {created_at_index}
-- touches: files (at or below the initial watermark, one page)
SELECT {uid} AS uid,
       {created_at_utc} AS created_at,
       {location} AS location,
       {created_at} AS page_created_at,
       {row_key} AS page_key
FROM {files}
WHERE {created_at} < :net_end  -- first page
WHERE {created_at} >= :page_created_at AND ({created_at}, {row_key}) > (:page_created_at, :page_key)  -- next page
  AND {created_at} < :net_end  -- next page
  AND {created_at_utc} <= :seed
  AND {archived} IS NOT 1
ORDER BY {files}.{created_at}, {files}.{row_key}
LIMIT :page_size;
