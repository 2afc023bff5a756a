-- purpose: rows not archived at or below the initial watermark, the first page  -- first page
-- purpose: rows not archived at or below the initial watermark, the page after a row; it may begin with that row again  -- next page
-- index: {created_archived_index}, or {created_at_index}
-- touches: files (at or below the initial watermark, one page; within, the index alone tells what is archived)
SELECT {files}.{uid} AS uid,
       {files}.{created_at} AS created_at,
       {files}.{location} AS location,
       {files}.{created_at} AS page_created_at,
       {files}.{uid} AS page_key
FROM (SELECT {uid} AS hole_uid, {created_at} AS hole_created_at
      FROM {files}
      WHERE {created_at} <= :seed  -- first page
      WHERE {created_at} >= :page_created_at AND ({created_at} > :page_created_at OR {uid} >= :page_key)  -- next page
        AND {created_at} <= :seed  -- next page
        AND {is_time}
        AND ({archived} <> TRUE OR {archived} IS NULL)
      ORDER BY {created_at}, {uid}
      LIMIT :page_size) AS page
JOIN {files} ON {files}.{uid} <=> page.hole_uid AND {files}.{created_at} = page.hole_created_at
WHERE {files}.{archived} <> TRUE OR {files}.{archived} IS NULL
ORDER BY {files}.{created_at}, {files}.{uid};
