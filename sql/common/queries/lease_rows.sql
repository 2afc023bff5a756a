-- purpose: every lease, held or free: who must be alone, the sharded workers, the audit trail's head
-- index: none: a table of a few rows
-- touches: des_archive_lease
SELECT name, token, purpose, host, pid, process, acquired_at, heartbeat_at, expires_at, beat, last_commit
FROM des_archive_lease
ORDER BY name;
