-- purpose: the newest row of a window
-- index: {created_at_index}
-- touches: files (one row)
SELECT {created_at_utc} AS des_created_at
FROM {files}
WHERE {in_window}
ORDER BY {created_at} DESC
LIMIT 1;
