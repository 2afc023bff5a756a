-- purpose: the settings that keep every transaction, or most users, from writing
-- index: none: system views
-- touches: system views
SELECT 'query_only' AS name, query_only AS setting
FROM pragma_query_only;
