-- purpose: what waits in a window: files, oldest, newest, bytes
-- index: {created_at_index}
-- touches: files (bounded by the window)
SELECT COUNT(*) AS files,
       MIN({created_at_utc}) AS oldest,
       MAX({created_at_utc}) AS newest,
       SUM({size_bytes}) AS size_bytes
FROM {files}
WHERE {created_at} >= :net_start AND {created_at} < :net_end
  AND {created_at_utc} > :start_at AND {created_at_utc} <= :end_at;
