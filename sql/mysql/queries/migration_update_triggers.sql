-- purpose: what fires at each UPDATE of the column archived
-- index: none: system views
-- touches: system views
SELECT 'trigger' AS kind, t.trigger_name AS name
FROM information_schema.triggers AS t
WHERE t.event_object_schema = COALESCE(:schema_name, DATABASE())
  AND t.event_object_table = :table_only AND t.event_manipulation = 'UPDATE'
ORDER BY name;
