-- purpose: how many row versions the table has used up; MySQL 8.0.29 and later
-- index: none: system views
-- touches: system views
SELECT t.total_row_versions AS used
FROM information_schema.innodb_tables AS t
WHERE t.name = CONCAT(COALESCE(:schema_name, DATABASE()), '/', :table_only);
