-- purpose: whether the lock is still ours
-- index: none
-- touches: nothing
UPDATE des_archive_lock
SET heartbeat_at = :now, expires_at = :expires_at
WHERE name = :name AND token = :token;
