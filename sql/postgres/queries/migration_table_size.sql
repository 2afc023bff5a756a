-- purpose: bytes that files takes on disk, with its indexes
-- index: none: system views
-- touches: system views
SELECT pg_total_relation_size(CAST(:table_name AS regclass)) AS size_bytes;
