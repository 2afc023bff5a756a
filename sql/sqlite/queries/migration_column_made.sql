-- purpose: what the column archived is made of; its definition is cut out of that of the table
-- index: none: system views
-- touches: system views
SELECT c.type AS type,
       NOT c."notnull" AS is_nullable,
       c.dflt_value AS made_default,
       NULL AS comment,
       NULL AS statistics,
       NULL AS options,
       NULL AS after_column,
       NOT EXISTS (SELECT 1 FROM pragma_table_info(:table_only) AS later
                   WHERE later.cid > c.cid) AS is_last,
       FALSE AS is_invisible,
       (SELECT m.sql FROM sqlite_master AS m
        WHERE m.type = 'table' AND lower(m.name) = lower(:table_only)) AS definition,
       NULL AS lost
FROM pragma_table_info(:table_only) AS c
WHERE lower(c.name) = lower(:column_name);
