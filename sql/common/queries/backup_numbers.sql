-- purpose: what a backup must hold of files: rows, oldest, newest, bytes
-- index: none: reads the whole table, as the dump beside it does
-- touches: files (all of it)
SELECT COUNT(*) AS files,
       MIN(CASE WHEN {is_time} THEN {created_at_utc} END) AS oldest,
       MAX(CASE WHEN {is_time} THEN {created_at_utc} END) AS newest,
       SUM({size_number}) AS size_bytes
FROM {files};
