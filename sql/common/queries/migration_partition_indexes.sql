-- purpose: the indexes of every partition of files: none of their own here
-- index: none: system views
-- touches: system views
SELECT NULL AS schema_name, NULL AS table_name, NULL AS name, NULL AS columns,
       0 AS is_valid, 0 AS is_plain, NULL AS predicate, NULL AS attached_to
FROM (SELECT 1 AS one) AS no_rows
WHERE 1 = 0;
