-- purpose: take the lease, which was seen to be free in the same transaction
-- index: primary key
-- touches: des_archive_lock
INSERT INTO des_archive_lock (name, holder, token, acquired_at, heartbeat_at, expires_at)
VALUES (:name, :holder, :token, :now, :now, :expires_at)
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder,
    token = excluded.token,
    acquired_at = excluded.acquired_at,
    heartbeat_at = excluded.heartbeat_at,
    expires_at = excluded.expires_at;
