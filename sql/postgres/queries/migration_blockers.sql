-- purpose: who holds files, so that a change of the table must wait: oldest first
-- index: none: system views
-- touches: system views
WITH RECURSIVE tree AS (
    SELECT CAST(CAST(:table_name AS regclass) AS oid) AS relid
    UNION
    SELECT i.inhrelid FROM pg_inherits AS i JOIN tree ON tree.relid = i.inhparent
)
SELECT a.pid AS session,
       a.usename AS user_name,
       EXTRACT(EPOCH FROM clock_timestamp() - a.xact_start) AS age_s,
       a.state AS state,
       LEFT(a.query, 200) AS query
FROM pg_stat_activity AS a
WHERE a.pid <> pg_backend_pid()
  AND a.datname = current_database()
  AND a.xact_start IS NOT NULL
  AND EXISTS (SELECT 1 FROM pg_locks AS l
              WHERE l.pid = a.pid AND l.granted
                AND l.relation IN (SELECT relid FROM tree))
UNION ALL
SELECT NULL, p.owner, EXTRACT(EPOCH FROM clock_timestamp() - p.prepared), 'prepared', p.gid
FROM pg_prepared_xacts AS p
WHERE p.database = current_database()
ORDER BY age_s DESC
LIMIT 5;
