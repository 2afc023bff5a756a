-- purpose: how many files wait in a window, counted up to a limit, and the oldest of them
-- index: {created_at_index}
-- touches: files (no more rows than the limit; on SQLite also the days beside the watermark)
SELECT COUNT(*) AS files, MIN(waiting.des_created_at) AS oldest
FROM (
    SELECT {created_at_utc} AS des_created_at
    FROM {files}
    WHERE {in_window}
    ORDER BY {created_at}
    LIMIT :row_limit
) AS waiting;
