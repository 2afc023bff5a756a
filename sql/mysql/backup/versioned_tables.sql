-- purpose: tables that keep their history: a dump leaves it out unless told
-- index: none
-- touches: system views
SELECT TABLE_NAME AS table_name
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'SYSTEM VERSIONED'
ORDER BY TABLE_NAME;
