-- purpose: all partitions and child tables, which pg_dump leaves out beside their parent
-- index: none
-- touches: system views
WITH RECURSIVE tree AS (
    SELECT CAST(CAST(:table_name AS regclass) AS oid) AS relid, 0 AS level
    UNION
    SELECT i.inhrelid, tree.level + 1
    FROM pg_inherits AS i JOIN tree ON tree.relid = i.inhparent
)
SELECT n.nspname AS schema_name, c.relname AS table_name
FROM tree
JOIN pg_class AS c ON c.oid = tree.relid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY tree.level, 1, 2;
