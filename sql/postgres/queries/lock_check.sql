-- purpose: whether the lock is still ours
-- index: none
-- touches: nothing
SELECT COUNT(*) AS held
FROM pg_locks
WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
  AND classid = CAST(:key AS oid);
