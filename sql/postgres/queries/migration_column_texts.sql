-- purpose: what uses rows of files as a whole, and routines whose text names table and column
-- index: none: system views
-- touches: system views
-- The catalogue knows the text of most routines only as a text.
SELECT 'routine' AS kind, CAST(CAST(p.oid AS regprocedure) AS text) AS name
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND p.prosrc ILIKE '%' || :column_name || '%' AND p.prosrc ILIKE '%' || :table_only || '%'
UNION
-- What it brings has the columns that the publisher has.
SELECT 'subscription', CAST(s.subname AS text)
FROM pg_subscription_rel AS r
JOIN pg_stat_subscription AS s ON s.subid = r.srsubid
WHERE r.srrelid = CAST(:table_name AS regclass)
UNION
SELECT i.type || ' with the row type', i.identity
FROM pg_class AS c
JOIN pg_type AS t ON t.oid = c.reltype
JOIN pg_depend AS d ON d.refclassid = CAST('pg_type' AS regclass)
    AND d.refobjid IN (t.oid, t.typarray) AND d.deptype <> 'i'
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS i
WHERE c.oid = CAST(:table_name AS regclass)
ORDER BY kind, name;
