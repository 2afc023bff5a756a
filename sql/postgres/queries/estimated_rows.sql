-- purpose: how many rows the catalogue believes files to have
-- index: none: system views
-- touches: system views
WITH RECURSIVE tree AS (
    SELECT CAST(CAST(:table_name AS regclass) AS oid) AS relid
    UNION
    SELECT i.inhrelid FROM pg_inherits AS i JOIN tree ON tree.relid = i.inhparent
)
SELECT SUM(GREATEST(c.reltuples, 0)) AS estimated_rows
FROM tree
JOIN pg_class AS c ON c.oid = tree.relid
WHERE c.relkind <> 'p';
