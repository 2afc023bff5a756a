-- purpose: record how far a long job has come
-- index: primary key
-- touches: des_archive_job
INSERT INTO des_archive_job
    (name, state, cursor_created_at, cursor_uid, rows_done, rows_total, started_at, updated_at, details)
VALUES
    (:name, :state, :cursor_created_at, NULL, :rows_done, :rows_total, :now, :now, :details)
ON DUPLICATE KEY UPDATE
    state = VALUES(state),
    cursor_created_at = VALUES(cursor_created_at),
    rows_done = VALUES(rows_done),
    rows_total = VALUES(rows_total),
    updated_at = VALUES(updated_at),
    details = VALUES(details);
