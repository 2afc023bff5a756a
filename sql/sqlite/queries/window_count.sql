-- purpose: how many rows a window holds
-- index: {created_at_index}
-- touches: files (bounded by the window)
SELECT COUNT(*) AS files
FROM {files}
WHERE {created_at} >= :net_start AND {created_at} < :net_end
  AND {created_at_utc} > :start_at AND {created_at_utc} <= :end_at;
