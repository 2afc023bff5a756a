-- purpose: how many files wait in a window, counted up to a limit, and the oldest of them
-- index: {created_at_index}
-- touches: files (no more rows than the limit, and the days beside the watermark)
SELECT COUNT(*) AS files, MIN(waiting.des_created_at) AS oldest
FROM (
    SELECT {created_at_utc} AS des_created_at
    FROM {files}
    WHERE {created_at} >= :net_start AND {created_at} < :net_end
      AND {created_at_utc} > :start_at AND {created_at_utc} <= :end_at
    ORDER BY {created_at}
    LIMIT :row_limit
) AS waiting;
