-- purpose: who still uses the column archived
-- index: none: system views
-- touches: system views
-- A view of another database reads the table as well; the server stores its name with its database.
SELECT 'view' AS kind,
       IF(v.table_schema = COALESCE(:schema_name, DATABASE()),
          v.table_name, CONCAT(v.table_schema, '.', v.table_name)) AS name
FROM information_schema.views AS v
WHERE LOCATE(:column_name, v.view_definition) > 0
  AND LOCATE(CONCAT('`', COALESCE(:schema_name, DATABASE()), '`.`', :table_only, '`'),
             v.view_definition) > 0
UNION
SELECT 'index', s.index_name
FROM information_schema.statistics AS s
WHERE s.table_schema = COALESCE(:schema_name, DATABASE()) AND s.table_name = :table_only
  AND s.column_name = :column_name AND s.index_name <> :own_index
UNION
SELECT 'constraint', k.constraint_name
FROM information_schema.key_column_usage AS k
WHERE k.table_schema = COALESCE(:schema_name, DATABASE()) AND k.table_name = :table_only
  AND k.column_name = :column_name
UNION
SELECT 'generated column', c.column_name
FROM information_schema.columns AS c
WHERE c.table_schema = COALESCE(:schema_name, DATABASE()) AND c.table_name = :table_only
  AND LOCATE(CONCAT('`', :column_name, '`'), c.generation_expression) > 0
UNION
SELECT 'trigger', t.trigger_name
FROM information_schema.triggers AS t
WHERE t.event_object_schema = COALESCE(:schema_name, DATABASE())
  AND t.event_object_table = :table_only
  AND LOCATE(LOWER(:column_name), LOWER(t.action_statement)) > 0
UNION
SELECT 'check', k.constraint_name
FROM information_schema.table_constraints AS t
JOIN information_schema.check_constraints AS k
    ON k.constraint_schema = t.constraint_schema AND k.constraint_name = t.constraint_name
WHERE t.table_schema = COALESCE(:schema_name, DATABASE()) AND t.table_name = :table_only
  AND t.constraint_type = 'CHECK'
  AND LOCATE(CONCAT('`', :column_name, '`'), k.check_clause) > 0
UNION
SELECT 'session', CONCAT('connection ', p.id, ' of ', p.user)
FROM information_schema.processlist AS p
WHERE p.id <> CONNECTION_ID() AND p.db = DATABASE()
  AND LOCATE(:column_name, p.info) > 0 AND LOCATE(:table_only, p.info) > 0
ORDER BY kind, name;
