-- purpose: rows not archived at or below the initial watermark, counted up to a limit
-- index: {created_archived_index}, or {created_at_index}
-- touches: files (at or below the initial watermark)
SELECT COUNT(*) AS files
FROM (SELECT 1 AS one
      FROM {files}
      WHERE {created_at} < :net_end AND {created_at_utc} <= :seed AND {archived} IS NOT 1
      LIMIT :limit) AS found;
