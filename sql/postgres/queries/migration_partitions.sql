-- purpose: the tables that a partitioned files is made of, parents before their partitions
-- index: none: system views
-- touches: system views
SELECT n.nspname AS schema_name,
       c.relname AS table_name,
       pn.nspname AS parent_schema,
       pc.relname AS parent_name,
       c.relkind = 'p' AS is_parent,
       c.relkind = 'f' AS is_foreign
FROM pg_partition_tree(CAST(:table_name AS regclass)) AS t
JOIN pg_class AS c ON c.oid = t.relid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_class AS pc ON pc.oid = t.parentrelid AND t.level > 0
LEFT JOIN pg_namespace AS pn ON pn.oid = pc.relnamespace
WHERE (SELECT relkind FROM pg_class WHERE oid = CAST(:table_name AS regclass)) = 'p'
ORDER BY t.level, c.relname;
