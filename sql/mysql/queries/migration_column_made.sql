-- purpose: what of the column archived the way back does not make again
-- index: none: system views
-- touches: system views
SELECT 'type' AS kind, c.column_type AS name
FROM information_schema.columns AS c
WHERE c.table_schema = COALESCE(:schema_name, DATABASE()) AND c.table_name = :table_only
  AND c.column_name = :column_name AND c.column_type <> 'tinyint(1)'
UNION ALL
SELECT 'nullability', 'NULL is allowed'
FROM information_schema.columns AS c
WHERE c.table_schema = COALESCE(:schema_name, DATABASE()) AND c.table_name = :table_only
  AND c.column_name = :column_name AND c.is_nullable = 'YES'
UNION ALL
SELECT 'default', COALESCE(c.column_default, 'none')
FROM information_schema.columns AS c
WHERE c.table_schema = COALESCE(:schema_name, DATABASE()) AND c.table_name = :table_only
  AND c.column_name = :column_name AND COALESCE(c.column_default, 'none') <> '0'
UNION ALL
SELECT 'comment', c.column_comment
FROM information_schema.columns AS c
WHERE c.table_schema = COALESCE(:schema_name, DATABASE()) AND c.table_name = :table_only
  AND c.column_name = :column_name AND c.column_comment <> ''
UNION ALL
SELECT 'position', 'it comes back as the last column'
FROM information_schema.columns AS c
WHERE c.table_schema = COALESCE(:schema_name, DATABASE()) AND c.table_name = :table_only
  AND c.column_name = :column_name
  AND EXISTS (SELECT 1 FROM information_schema.columns AS later
              WHERE later.table_schema = c.table_schema AND later.table_name = c.table_name
                AND later.ordinal_position > c.ordinal_position)
ORDER BY kind;
