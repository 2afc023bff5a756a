-- purpose: record how far a long job has come; whether it is paused stays as it is
-- index: primary key
-- touches: des_archive_job
UPDATE des_archive_job
SET cursor_created_at = :cursor_created_at, rows_done = :rows_done, updated_at = :now
WHERE name = :name;
