-- purpose: bytes that files takes on disk, with its indexes
-- index: none: system views
-- touches: system views
SELECT c.page_count * s.page_size AS size_bytes
FROM pragma_page_count() AS c, pragma_page_size() AS s;
