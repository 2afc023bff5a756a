-- purpose: what else hangs on files and has to be thought of before it is changed
-- index: none: system views
-- touches: system views
WITH RECURSIVE tree AS (
    SELECT CAST(CAST(:table_name AS regclass) AS oid) AS relid
    UNION
    SELECT i.inhrelid FROM pg_inherits AS i JOIN tree ON tree.relid = i.inhparent
)
SELECT 'prepared transaction' AS kind,
       gid || ' of ' || owner || ', since ' || CAST(prepared AS text) AS name
FROM pg_prepared_xacts
WHERE database = current_database()
UNION ALL
SELECT 'publication', p.pubname
FROM pg_publication AS p
WHERE EXISTS (SELECT 1 FROM pg_publication_tables AS t
              JOIN tree ON CAST(format('%I.%I', t.schemaname, t.tablename) AS regclass) = tree.relid
              WHERE t.pubname = p.pubname)
UNION ALL
SELECT DISTINCT 'subscription', s.subname
FROM pg_subscription_rel AS r
JOIN tree ON tree.relid = r.srrelid
JOIN pg_stat_subscription AS s ON s.subid = r.srsubid
UNION ALL
SELECT CASE WHEN s.active THEN 'replication slot' ELSE 'idle replication slot' END,
       s.slot_name || ' (' || s.slot_type || ')'
FROM pg_replication_slots AS s
WHERE s.database IS NULL OR s.database = current_database()
UNION ALL
SELECT 'event trigger', e.evtname
FROM pg_event_trigger AS e
WHERE e.evtenabled <> 'D'
UNION ALL
SELECT 'foreign key', k.conname || ' of ' || CAST(CAST(k.conrelid AS regclass) AS text)
FROM pg_constraint AS k
JOIN tree ON k.confrelid = tree.relid
WHERE k.contype = 'f' AND k.conparentid = 0
UNION ALL
SELECT 'child table', CAST(CAST(c.oid AS regclass) AS text)
FROM tree
JOIN pg_class AS c ON c.oid = tree.relid AND NOT c.relispartition
WHERE c.oid <> CAST(:table_name AS regclass)
UNION ALL
SELECT 'no index on created_at in child table', CAST(CAST(c.oid AS regclass) AS text)
FROM tree
JOIN pg_class AS c ON c.oid = tree.relid AND NOT c.relispartition
WHERE c.oid <> CAST(:table_name AS regclass)
  AND NOT EXISTS (SELECT 1
                  FROM pg_index AS x
                  JOIN pg_class AS o ON o.oid = x.indexrelid
                  JOIN pg_am AS m ON m.oid = o.relam AND m.amname = 'btree'
                  JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
                  WHERE x.indrelid = c.oid AND x.indisvalid AND x.indisready
                    AND x.indpred IS NULL AND a.attname = :created_at_name)
UNION ALL
SELECT 'vacuum against wraparound', 'pid ' || a.pid
FROM pg_stat_activity AS a
JOIN pg_stat_progress_vacuum AS v ON v.pid = a.pid
JOIN tree ON tree.relid = v.relid
WHERE a.query LIKE '%to prevent wraparound%'
ORDER BY kind, name;
