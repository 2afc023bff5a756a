-- purpose: what waits in a window: files, oldest, newest, bytes
-- index: {created_at_index}
-- touches: files (bounded by the window)
SELECT COUNT(*) AS files,
       MIN({created_at_utc}) AS oldest,
       MAX({created_at_utc}) AS newest,
       SUM({size_number}) AS size_bytes
FROM {files}
WHERE {in_window};
