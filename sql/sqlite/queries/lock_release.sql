-- purpose: give the lock back
-- index: none
-- touches: nothing
UPDATE des_archive_lock
SET holder = '', token = '', expires_at = :now
WHERE name = :name AND token = :token;
