-- purpose: on SQLite, the row of the lease
-- index: primary key
-- touches: des_archive_lock
INSERT INTO des_archive_lock (name, holder, token, acquired_at, heartbeat_at, expires_at)
VALUES (:name, '', '', :now, :now, :now)
ON CONFLICT (name) DO NOTHING;
