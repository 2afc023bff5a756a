-- purpose: what this user may do with the application's table
-- index: none: system catalogue
-- touches: system catalogue
SELECT 'read the table' AS name, has_table_privilege(c.oid, 'SELECT') AS is_held
FROM pg_class AS c
WHERE c.oid = CAST(:table_name AS regclass)
UNION ALL
SELECT 'change its columns and indexes', pg_has_role(c.relowner, 'USAGE')
FROM pg_class AS c
WHERE c.oid = CAST(:table_name AS regclass)
UNION ALL
SELECT 'read all rows past row-level security (BYPASSRLS)', NOT row_security_active(c.oid)
FROM pg_class AS c
WHERE c.oid = CAST(:table_name AS regclass);
