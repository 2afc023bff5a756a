-- purpose: how many rows the catalogue believes files to have
-- index: none: system views
-- touches: system views
SELECT table_rows AS estimated_rows
FROM information_schema.tables
WHERE table_schema = COALESCE(:schema_name, DATABASE()) AND table_name = :table_only;
