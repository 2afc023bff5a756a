-- purpose: keep how a cycle ended, in the one row of its worker
-- index: primary key
-- touches: des_archive_job (one row)
INSERT INTO des_archive_job (name, state, rows_done, started_at, updated_at, details)
VALUES (:name, 'done', :rows_done, :now, :now, :details)
ON CONFLICT (name) DO UPDATE
SET rows_done = excluded.rows_done, updated_at = excluded.updated_at, details = excluded.details;
