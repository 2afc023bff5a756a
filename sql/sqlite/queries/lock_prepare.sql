-- purpose: on SQLite, the table that holds the lease
-- index: primary key
-- touches: des_archive_lock
CREATE TABLE IF NOT EXISTS des_archive_lock (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    token TEXT NOT NULL,
    acquired_at TEXT NOT NULL,
    heartbeat_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
);
