-- purpose: the newest row of a window
-- index: {created_at_index}
-- touches: files (one row)
SELECT {created_at_utc} AS des_created_at
FROM {files}
WHERE {created_at} >= :net_start AND {created_at} < :net_end
  AND {created_at_utc} > :start_at AND {created_at_utc} <= :end_at
ORDER BY {created_at} DESC
LIMIT 1;
