-- purpose: whom the sessions of des-admin wait for right now
-- index: none: system views
-- touches: system views
SELECT b.pid AS session,
       b.usename AS user_name,
       EXTRACT(EPOCH FROM clock_timestamp() - b.xact_start) AS age_s,
       b.state AS state,
       LEFT(b.query, 200) AS query
FROM pg_stat_activity AS a
JOIN pg_stat_activity AS b ON b.pid = ANY (pg_blocking_pids(a.pid))
WHERE a.datname = current_database()
  AND a.application_name LIKE 'des-admin%'
  AND a.wait_event_type = 'Lock'
ORDER BY age_s DESC
LIMIT 5;
