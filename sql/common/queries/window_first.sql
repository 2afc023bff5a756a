-- purpose: the oldest row of a window: where the next slice that is not empty begins
-- index: {created_at_index}
-- touches: files (one row)
SELECT {created_at} AS created_at
FROM {files}
WHERE {created_at} > :start_at AND {created_at} <= :end_at
ORDER BY {created_at}
LIMIT 1;
