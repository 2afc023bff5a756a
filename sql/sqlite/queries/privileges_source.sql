-- purpose: whether this connection may write; the rest is the file system's to say
-- index: none: a setting
-- touches: nothing
SELECT 'write the file' AS name, query_only = 0 AS is_held FROM pragma_query_only;
