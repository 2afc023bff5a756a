-- purpose: record how far a long job has come
-- index: primary key
-- touches: des_archive_job
INSERT INTO des_archive_job
    (name, state, cursor_created_at, cursor_uid, rows_done, rows_total, started_at, updated_at, details)
VALUES
    (:name, :state, :cursor_created_at, NULL, :rows_done, :rows_total, :now, :now, :details)
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state,
    cursor_created_at = excluded.cursor_created_at,
    rows_done = excluded.rows_done,
    rows_total = excluded.rows_total,
    updated_at = excluded.updated_at,
    details = excluded.details;
