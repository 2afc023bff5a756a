-- purpose: the tables that a partitioned files is made of: one here, in which the server sees to all
-- index: none: system views
-- touches: system views
SELECT NULL AS schema_name, NULL AS table_name, NULL AS parent_schema, NULL AS parent_name,
       0 AS is_parent, 0 AS is_foreign
FROM (SELECT 1 AS one) AS no_rows
WHERE 1 = 0;
