-- purpose: rows without created_at, which no window can see
-- index: {created_at_index}
-- touches: files (those rows, up to the limit)
SELECT COUNT(*) AS files
FROM (SELECT 1 AS one FROM {files} WHERE {created_at} IS NULL LIMIT :limit) AS found;
