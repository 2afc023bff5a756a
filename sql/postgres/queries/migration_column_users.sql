-- purpose: who still uses the column archived
-- index: none: system views
-- touches: system views
WITH RECURSIVE tree AS (
    SELECT CAST(CAST(:table_name AS regclass) AS oid) AS relid
    UNION
    SELECT i.inhrelid FROM pg_inherits AS i JOIN tree ON tree.relid = i.inhparent
), place AS (
    SELECT a.attrelid, a.attnum
    FROM pg_attribute AS a
    WHERE a.attrelid IN (SELECT relid FROM tree)
      AND a.attname = :column_name
)
SELECT DISTINCT 'view' AS kind, CAST(CAST(r.ev_class AS regclass) AS text) AS name
FROM place
JOIN pg_depend AS d ON d.refclassid = CAST('pg_class' AS regclass)
    AND d.refobjid = place.attrelid AND d.refobjsubid = place.attnum
    AND d.classid = CAST('pg_rewrite' AS regclass)
JOIN pg_rewrite AS r ON r.oid = d.objid
UNION
SELECT 'index', CAST(CAST(d.objid AS regclass) AS text)
FROM place
JOIN pg_depend AS d ON d.refclassid = CAST('pg_class' AS regclass)
    AND d.refobjid = place.attrelid AND d.refobjsubid = place.attnum
    AND d.classid = CAST('pg_class' AS regclass)
JOIN pg_class AS c ON c.oid = d.objid AND c.relkind IN ('i', 'I')
WHERE COALESCE((SELECT r.relname FROM pg_class AS r WHERE r.oid = pg_partition_root(c.oid)),
               c.relname) <> :own_index
UNION
-- The column would stay where it was not inherited alone, with the flags of today.
SELECT 'child table', CAST(CAST(c.oid AS regclass) AS text) || ' (the column is its own, too)'
FROM place
JOIN pg_class AS c ON c.oid = place.attrelid AND NOT c.relispartition
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = place.attnum
WHERE c.oid <> CAST(:table_name AS regclass) AND (a.attislocal OR a.attinhcount > 1)
UNION
SELECT 'constraint', k.conname
FROM place
JOIN pg_constraint AS k ON k.conrelid = place.attrelid AND place.attnum = ANY (k.conkey)
WHERE k.contype <> 'n'
UNION
SELECT 'generated column', g.attname
FROM place
JOIN pg_depend AS d ON d.refclassid = CAST('pg_class' AS regclass)
    AND d.refobjid = place.attrelid AND d.refobjsubid = place.attnum
    AND d.classid = CAST('pg_attrdef' AS regclass)
JOIN pg_attrdef AS f ON f.oid = d.objid AND f.adnum <> place.attnum
JOIN pg_attribute AS g ON g.attrelid = f.adrelid AND g.attnum = f.adnum
UNION
SELECT 'policy', p.polname
FROM place
JOIN pg_depend AS d ON d.refclassid = CAST('pg_class' AS regclass)
    AND d.refobjid = place.attrelid AND d.refobjsubid = place.attnum
    AND d.classid = CAST('pg_policy' AS regclass)
JOIN pg_policy AS p ON p.oid = d.objid
UNION
SELECT 'publication', b.pubname
FROM place
JOIN pg_depend AS d ON d.refclassid = CAST('pg_class' AS regclass)
    AND d.refobjid = place.attrelid AND d.refobjsubid = place.attnum
    AND d.classid = CAST('pg_publication_rel' AS regclass)
JOIN pg_publication_rel AS pr ON pr.oid = d.objid
JOIN pg_publication AS b ON b.oid = pr.prpubid
UNION
SELECT 'trigger', t.tgname
FROM place
JOIN pg_trigger AS t ON t.tgrelid = place.attrelid AND NOT t.tgisinternal
JOIN pg_proc AS f ON f.oid = t.tgfoid
WHERE place.attnum = ANY (CAST(t.tgattr AS smallint[]))
   OR f.prosrc ILIKE '%' || :column_name || '%'
   OR pg_get_triggerdef(t.oid) ILIKE '%' || :column_name || '%'
UNION
-- Whatever else the catalogue says depends on the column.
SELECT i.type, i.identity
FROM place
JOIN pg_depend AS d ON d.refclassid = CAST('pg_class' AS regclass)
    AND d.refobjid = place.attrelid AND d.refobjsubid = place.attnum
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS i
WHERE d.classid NOT IN (CAST('pg_rewrite' AS regclass), CAST('pg_constraint' AS regclass),
                        CAST('pg_attrdef' AS regclass), CAST('pg_policy' AS regclass),
                        CAST('pg_publication_rel' AS regclass), CAST('pg_trigger' AS regclass))
  AND NOT EXISTS (SELECT 1 FROM pg_class AS c
                  WHERE d.classid = CAST('pg_class' AS regclass) AND c.oid = d.objid
                    AND c.relkind IN ('i', 'I'))
UNION
SELECT 'session', 'pid ' || a.pid || ' of ' || COALESCE(a.usename, '?') || ' ('
       || COALESCE(NULLIF(a.application_name, ''), 'unnamed') || ')'
FROM place
JOIN pg_stat_activity AS a ON a.datname = current_database() AND a.pid <> pg_backend_pid()
WHERE a.query ILIKE '%' || :column_name || '%' AND a.query ILIKE '%' || :table_only || '%'
  AND a.application_name NOT LIKE 'des-admin%'
ORDER BY kind, name;
