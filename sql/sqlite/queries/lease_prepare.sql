-- purpose: the table of leases, where no migration has made it yet
-- index: none
-- touches: des_archive_lease
CREATE TABLE IF NOT EXISTS des_archive_lease (
    name TEXT NOT NULL PRIMARY KEY,
    token TEXT NOT NULL,
    purpose TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process TEXT NOT NULL,
    acquired_at TEXT NOT NULL,
    heartbeat_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    beat INTEGER NOT NULL,
    last_commit TEXT NOT NULL
);
