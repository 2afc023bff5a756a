-- purpose: rows whose archived is NULL at or below the initial watermark, counted up to a limit
-- index: {created_archived_index}, or {created_at_index}
-- touches: files (at or below the initial watermark)
SELECT COUNT(*) AS files
FROM (SELECT 1 AS one FROM {files} WHERE {created_at} <= :seed AND {is_time} AND {archived} IS NULL LIMIT :limit) AS found;
