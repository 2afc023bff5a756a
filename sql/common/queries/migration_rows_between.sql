-- purpose: rows of a window, counted up to a limit
-- index: {created_at_index}
-- touches: files (bounded by the window and the limit)
SELECT COUNT(*) AS files
FROM (SELECT 1 AS one FROM {files} WHERE {created_at} > :start_at AND {created_at} <= :end_at LIMIT :limit) AS found;
