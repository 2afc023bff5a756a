-- purpose: who holds the lock, in words
-- index: none: system views
-- touches: system views
SELECT holder, token, acquired_at, expires_at
FROM des_archive_lock
WHERE name = :name AND token <> '';
