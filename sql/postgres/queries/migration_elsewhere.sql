-- purpose: a watermark in the schema of files that the search_path of this user does not reach
-- index: none: system views
-- touches: system views
SELECT n.nspname AS name
FROM pg_class AS f
JOIN pg_class AS c ON c.relnamespace = f.relnamespace AND c.relname = 'des_archive_config'
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE f.oid = CAST(:table_name AS regclass)
  AND c.relkind = 'r' AND to_regclass('des_archive_config') IS NULL;
