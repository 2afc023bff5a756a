-- purpose: a heartbeat of the holder; nothing where the lease is somebody else's
-- index: primary key
-- touches: des_archive_lease (one row)
UPDATE des_archive_lease
SET heartbeat_at = :now, expires_at = :expires_at, beat = beat + 1
WHERE name = :name AND token = :token;
