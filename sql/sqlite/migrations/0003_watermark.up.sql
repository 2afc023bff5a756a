-- Revision 0003_watermark, branch config: the one row that says what is archived.

-- step: create_config
-- purpose: the watermark
-- lock: the database, for a moment
CREATE TABLE IF NOT EXISTS des_archive_config (
    id INTEGER PRIMARY KEY CONSTRAINT des_archive_config_one_row CHECK (id = 1),
    archived_until TEXT NOT NULL,
    lag_days INTEGER NOT NULL CONSTRAINT des_archive_config_lag CHECK (lag_days >= 0),
    last_updated TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'),
    updated_by TEXT,
    fence INTEGER NOT NULL DEFAULT 0
);

-- step: remember_seed
-- purpose: where the watermark began: below, the column archived stays right by itself
-- lock: the database, for a moment
INSERT INTO des_archive_job
    (name, state, cursor_created_at, cursor_uid, rows_done, rows_total, started_at, updated_at, details)
SELECT 'seed', 'done', archived_until, NULL, (SELECT COUNT(*) FROM des_archive_exception WHERE resolved_at IS NULL), NULL, strftime('%Y-%m-%d %H:%M:%f', 'now') || '000', strftime('%Y-%m-%d %H:%M:%f', 'now') || '000', NULL
FROM des_archive_config
WHERE id = 1
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state, cursor_created_at = excluded.cursor_created_at,
    rows_done = excluded.rows_done, updated_at = excluded.updated_at, details = excluded.details;

-- step: adopt_set_aside
-- purpose: a table made by hand, set aside within the transaction
-- lock: the database, for a moment
-- only: program
ALTER TABLE des_archive_config RENAME TO des_archive_config_by_hand;

-- step: adopt_drop_old
-- purpose: a table made by hand, copied by now
-- lock: the database, for a moment
-- only: program
DROP TABLE des_archive_config_by_hand;
