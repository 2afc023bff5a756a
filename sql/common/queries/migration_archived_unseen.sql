-- purpose: archived rows that no window sees: without created_at, or with what is no time
-- index: {created_at_index}; on SQLite none: of what is no time, no index tells
-- touches: files (those rows, up to the limit; on SQLite once)
SELECT COUNT(*) AS files
FROM (SELECT 1 AS one FROM {files} WHERE NOT {is_time} AND {archived} = TRUE LIMIT :limit) AS found;
