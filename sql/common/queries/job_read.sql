-- purpose: how far a long job has come
-- index: primary key
-- touches: des_archive_job
SELECT name, state, cursor_created_at, rows_done, rows_total, started_at, updated_at, details
FROM des_archive_job
WHERE name = :name;
