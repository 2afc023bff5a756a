-- purpose: archived rows above a time, counted up to a limit
-- index: {created_at_index}
-- touches: files (above the time)
SELECT COUNT(*) AS files
FROM (SELECT 1 AS one FROM {files} WHERE {created_at} > :seed AND {archived} LIMIT :limit) AS found;
