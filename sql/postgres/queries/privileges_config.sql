-- purpose: whether this user may make our tables, and write the ones that are there
-- index: none: system catalogue
-- touches: system catalogue
SELECT 'create tables' AS name, has_schema_privilege(current_schema(), 'CREATE') AS is_held
UNION ALL
SELECT 'write ' || c.relname,
       has_table_privilege(c.oid, 'SELECT')
       AND has_table_privilege(c.oid, 'INSERT')
       AND has_table_privilege(c.oid, 'UPDATE')
       AND has_table_privilege(c.oid, 'DELETE')
FROM pg_class AS c
WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid) AND c.relname LIKE 'des\_archive\_%';
