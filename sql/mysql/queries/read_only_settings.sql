-- purpose: the settings that keep every transaction, or most users, from writing
-- index: none: system views
-- touches: system views
SELECT 'read_only' AS name, @@global.read_only AS setting
UNION ALL
SELECT 'innodb_read_only', @@global.innodb_read_only;
