-- purpose: indexes of files that are being built right now, and what they wait for
-- index: none: system views
-- touches: system views
SELECT p.pid AS session,
       p.phase AS phase,
       p.blocks_done AS done,
       p.blocks_total AS total,
       (SELECT 'session ' || a.pid || ' of ' || COALESCE(a.usename, '?') || ', open for '
               || ROUND(EXTRACT(EPOCH FROM clock_timestamp() - a.xact_start)) || ' s: '
               || LEFT(a.query, 100)
        FROM pg_stat_activity AS a
        WHERE a.pid = p.current_locker_pid) AS waits_for
FROM pg_stat_progress_create_index AS p
WHERE p.relid = CAST(:table_name AS regclass);
