-- purpose: what the column archived is made of
-- index: none: system views
-- touches: system views
-- Grants on a column stay with its name when it goes.
SELECT c.column_type AS type,
       c.is_nullable = 'YES' AS is_nullable,
       c.column_default AS made_default,
       NULLIF(c.column_comment, '') AS comment,
       NULL AS statistics,
       NULL AS options,
       COALESCE((SELECT b.column_name
                 FROM information_schema.columns AS b
                 WHERE b.table_schema = c.table_schema AND b.table_name = c.table_name
                   AND b.ordinal_position = c.ordinal_position - 1), '') AS after_column,
       NOT EXISTS (SELECT 1 FROM information_schema.columns AS later
                   WHERE later.table_schema = c.table_schema AND later.table_name = c.table_name
                     AND later.ordinal_position > c.ordinal_position) AS is_last,
       LOCATE('INVISIBLE', c.extra) > 0 AS is_invisible,
       NULL AS definition,
       NULLIF(TRIM(REPLACE(REPLACE(c.extra, 'INVISIBLE', ''), 'DEFAULT_GENERATED', '')), '')
           AS lost
FROM information_schema.columns AS c
WHERE c.table_schema = COALESCE(:schema_name, DATABASE()) AND c.table_name = :table_only
  AND c.column_name = :column_name;
