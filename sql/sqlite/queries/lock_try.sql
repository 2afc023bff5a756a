-- purpose: become the only writer, or learn at once that somebody else is
-- index: none
-- touches: nothing
UPDATE des_archive_lock
SET holder = :holder, token = :token, acquired_at = :now, heartbeat_at = :now, expires_at = :expires_at
WHERE name = :name AND (token = '' OR expires_at < :now OR token = :dead_token);
