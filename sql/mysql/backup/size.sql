-- purpose: about how many bytes the tables of this database hold
-- index: none
-- touches: system views
SELECT DATABASE() AS database_name, SUM(DATA_LENGTH) AS size_bytes
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = DATABASE();
