-- purpose: rows not archived at or below the initial watermark: those of so many moments, the first page  -- first page
-- purpose: rows not archived at or below the initial watermark: those of so many moments, the page after a moment  -- next page
-- index: {created_archived_index} alone tells the moments; without it, {created_at_index}
-- touches: files (at or below the initial watermark; all rows that one moment has together)
SELECT {files}.{uid} AS uid,
       {files}.{created_at} AS created_at,
       {files}.{location} AS location,
       {files}.{created_at} AS page_created_at,
       {files}.{uid} AS page_key
FROM (SELECT DISTINCT {created_at} AS hole_created_at
      FROM {files}
      WHERE {created_at} <= :seed  -- first page
      WHERE {created_at} > :page_created_at  -- next page
        AND {created_at} <= :seed  -- next page
        AND {is_time}
        AND ({archived} <> TRUE OR {archived} IS NULL)
      ORDER BY {created_at}
      LIMIT :page_size) AS page
JOIN {files} ON {files}.{created_at} = page.hole_created_at
WHERE {files}.{archived} <> TRUE OR {files}.{archived} IS NULL
ORDER BY {files}.{created_at}, {files}.{uid};
