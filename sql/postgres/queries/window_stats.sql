-- purpose: what waits in a window: files, oldest, newest, bytes
-- index: {created_at_index}
-- touches: files (bounded by the window)
SELECT COUNT(*) AS files,
       MIN({created_at}) AS oldest,
       MAX({created_at}) AS newest,
       SUM(CAST({size_bytes} AS bigint)) AS size_bytes
FROM {files}
WHERE {created_at} > :start_at AND {created_at} <= :end_at;
