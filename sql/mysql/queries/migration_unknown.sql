-- purpose: rows whose archived is NULL at or below the initial watermark, the first page  -- first page
-- purpose: rows whose archived is NULL at or below the initial watermark, the page after a row; it may begin with that row again  -- next page
-- index: {created_archived_index}, or {created_at_index}
-- touches: files (at or below the initial watermark, one page)
SELECT {uid} AS uid,
       {created_at} AS created_at,
       {location} AS location,
       {created_at} AS page_created_at,
       {uid} AS page_key
FROM {files}
WHERE {created_at} <= :seed  -- first page
WHERE {created_at} >= :page_created_at AND ({created_at} > :page_created_at OR {uid} >= :page_key OR :page_key IS NULL)  -- next page
  AND {created_at} <= :seed  -- next page
  AND {is_time}
  AND {archived} IS NULL
ORDER BY {created_at}, {uid}
LIMIT :page_size;
