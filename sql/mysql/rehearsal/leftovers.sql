-- purpose: scratch databases of rehearsals that were cut off
-- index: none: system views
-- touches: system views
SELECT schema_name AS name FROM information_schema.schemata
WHERE schema_name LIKE 'des\_rehearsal\_%' ORDER BY schema_name;
