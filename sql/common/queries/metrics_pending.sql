-- purpose: how many files wait in a window, counted up to a limit, and the oldest of them
-- index: {created_at_index}
-- touches: files (no more rows than the limit)
SELECT COUNT(*) AS files, MIN(waiting.created_at) AS oldest
FROM (
    SELECT {created_at} AS created_at
    FROM {files}
    WHERE {created_at} > :start_at AND {created_at} <= :end_at
    ORDER BY {created_at}
    LIMIT :row_limit
) AS waiting;
