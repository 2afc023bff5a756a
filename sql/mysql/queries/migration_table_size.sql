-- purpose: bytes that files takes on disk, with its indexes
-- index: none: system views
-- touches: system views
SELECT data_length + index_length AS size_bytes
FROM information_schema.tables
WHERE table_schema = COALESCE(:schema_name, DATABASE()) AND table_name = :table_only;
