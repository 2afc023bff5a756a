-- purpose: character set and collation that new tables of this database get
-- index: none
-- touches: system views
SELECT DEFAULT_CHARACTER_SET_NAME AS encoding, DEFAULT_COLLATION_NAME AS collation_name
FROM information_schema.SCHEMATA
WHERE SCHEMA_NAME = DATABASE();
