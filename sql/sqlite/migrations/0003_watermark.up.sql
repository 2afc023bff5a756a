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
