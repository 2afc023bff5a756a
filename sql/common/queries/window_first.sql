-- purpose: the oldest row of a window: where the next slice that is not empty begins
-- index: {created_at_index}
-- touches: files (one row)
SELECT {created_at_utc} AS des_created_at
FROM {files}
WHERE {in_window}
ORDER BY {created_at}
LIMIT 1;
