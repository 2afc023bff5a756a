-- purpose: the server's settings that decide whether a commit survives a power cut
-- index: none: system views
-- touches: system views
SELECT name, setting
FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit');
