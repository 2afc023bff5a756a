-- purpose: the settings that keep every transaction, or most users, from writing
-- index: none: system views
-- touches: system views
SELECT name, setting
FROM pg_settings
WHERE name IN ('transaction_read_only', 'in_hot_standby');
