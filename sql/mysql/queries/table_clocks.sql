-- purpose: the columns of a table that the server sets to now at every UPDATE of another column
-- index: none: system views
-- touches: system views
SELECT c.column_name AS name
FROM information_schema.columns AS c
WHERE c.table_schema = COALESCE(:schema_name, DATABASE()) AND c.table_name = :table_only
  AND LOCATE('on update', LOWER(c.extra)) > 0
ORDER BY c.ordinal_position;
