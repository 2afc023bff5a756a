-- purpose: who holds a lease, in words: the only writer, or a worker
-- index: none: a table of one row per lease
-- touches: des_archive_lock
SELECT name, holder, token, acquired_at, expires_at
FROM des_archive_lock
WHERE token <> ''
ORDER BY name;
