-- purpose: routines, events and triggers elsewhere whose text names files and the column archived
-- index: none: system views
-- touches: system views
SELECT LOWER(r.routine_type) AS kind, CONCAT(r.routine_schema, '.', r.routine_name) AS name
FROM information_schema.routines AS r
WHERE r.routine_schema NOT IN ('sys', 'mysql')
  AND LOCATE(LOWER(:column_name), LOWER(r.routine_definition)) > 0
  AND LOCATE(LOWER(:table_only), LOWER(r.routine_definition)) > 0
UNION
SELECT 'event', CONCAT(e.event_schema, '.', e.event_name)
FROM information_schema.events AS e
WHERE LOCATE(LOWER(:column_name), LOWER(e.event_definition)) > 0
  AND LOCATE(LOWER(:table_only), LOWER(e.event_definition)) > 0
UNION
SELECT 'trigger', CONCAT(t.trigger_schema, '.', t.trigger_name)
FROM information_schema.triggers AS t
WHERE NOT (t.event_object_schema = COALESCE(:schema_name, DATABASE())
           AND t.event_object_table = :table_only)
  AND LOCATE(LOWER(:column_name), LOWER(t.action_statement)) > 0
  AND LOCATE(LOWER(:table_only), LOWER(t.action_statement)) > 0
ORDER BY kind, name;
