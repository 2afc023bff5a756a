-- purpose: the storage engine of files, where it knows no transactions
-- index: none: system views
-- touches: system views
SELECT t.engine AS engine
FROM information_schema.tables AS t
JOIN information_schema.engines AS e ON e.engine = t.engine
WHERE t.table_schema = COALESCE(:schema_name, DATABASE()) AND t.table_name = :table_only
  AND COALESCE(e.transactions, 'NO') <> 'YES';
