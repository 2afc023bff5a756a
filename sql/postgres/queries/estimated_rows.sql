-- purpose: how many rows the catalogue believes files to have
-- index: none: system views
-- touches: system views
SELECT SUM(GREATEST(reltuples, 0)) AS estimated_rows
FROM pg_class
WHERE oid IN (SELECT relid FROM pg_partition_tree(CAST(:table_name AS regclass)) WHERE isleaf)
   OR (oid = CAST(:table_name AS regclass) AND relkind = 'r');
