-- purpose: whether this user may make our tables, and write those that are there as the runner does
-- index: none: system catalogue
-- touches: system catalogue
SELECT 'create tables' AS name, has_schema_privilege(current_schema(), 'CREATE') AS is_held
UNION ALL
SELECT 'write ' || c.relname,
       has_table_privilege(c.oid, 'SELECT')
       AND (c.relname = 'des_archive_config' OR has_table_privilege(c.oid, 'INSERT'))
       AND (c.relname IN ('des_archive_slice', 'des_archive_event', 'des_archive_outcome')
            OR has_table_privilege(c.oid, 'UPDATE'))
       AND (c.relname NOT IN ('des_archive_worker', 'des_archive_damage', 'des_archive_outcome')
            OR has_table_privilege(c.oid, 'DELETE'))
FROM pg_class AS c
WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid) AND c.relname LIKE 'des\_archive\_%'
UNION ALL
SELECT 'drop our tables', COALESCE(bool_and(pg_has_role(c.relowner, 'USAGE')), TRUE)
FROM pg_class AS c
WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid) AND c.relname LIKE 'des\_archive\_%';
