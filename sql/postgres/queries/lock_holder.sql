-- purpose: who holds the lock, in words
-- index: none: system views
-- touches: system views
SELECT a.application_name || ', pid ' || a.pid || ', user ' || COALESCE(a.usename, '?')
       || ', from ' || COALESCE(CAST(a.client_addr AS text), 'local')
       || ', since ' || to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || 'Z'
       AS holder
FROM pg_locks AS l
JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted
  AND l.classid = CAST(:key AS oid)
  AND l.objid = CAST(CAST(hashtext(current_schema()) AS bigint) & 4294967295 AS oid)
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());
