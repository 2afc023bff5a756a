-- purpose: what else hangs on files and has to be thought of before it is changed
-- index: none: system views
-- touches: system views
SELECT 'foreign key' AS kind, CONCAT(k.constraint_name, ' of ', k.table_name) AS name
FROM information_schema.key_column_usage AS k
WHERE k.referenced_table_schema = COALESCE(:schema_name, DATABASE())
  AND k.referenced_table_name = :table_only
UNION
SELECT 'fulltext index', s.index_name
FROM information_schema.statistics AS s
WHERE s.table_schema = COALESCE(:schema_name, DATABASE()) AND s.table_name = :table_only
  AND s.index_type = 'FULLTEXT'
UNION
SELECT 'storage', CONCAT(t.engine, ' ', t.row_format)
FROM information_schema.tables AS t
WHERE t.table_schema = COALESCE(:schema_name, DATABASE()) AND t.table_name = :table_only
  AND (t.engine <> 'InnoDB' OR t.row_format = 'Compressed')
ORDER BY kind, name;
