-- purpose: all partitions below a table, which pg_dump leaves out beside their parent
-- index: none
-- touches: system views
SELECT n.nspname AS schema_name, c.relname AS table_name
FROM pg_partition_tree(CAST(:table_name AS regclass)) AS tree
JOIN pg_class AS c ON c.oid = tree.relid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY tree.level, 1, 2;
