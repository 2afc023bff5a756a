-- purpose: the newest row of files
-- index: {created_at_index}
-- touches: files (one row)
SELECT {created_at} AS created_at
FROM {files}
WHERE {is_time}
ORDER BY {created_at} DESC
LIMIT 1;
