-- purpose: the schema, for a trial of what changes it
-- index: none: system views
-- touches: system views
SELECT m.sql AS sql
FROM sqlite_master AS m
WHERE m.sql IS NOT NULL AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY CASE m.type WHEN 'table' THEN 1 WHEN 'index' THEN 2 WHEN 'view' THEN 3 ELSE 4 END, m.rowid;
