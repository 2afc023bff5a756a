-- purpose: how many row versions the table has used up: only MySQL counts them
-- index: none: system views
-- touches: system views
SELECT NULL AS used
FROM (SELECT 1 AS one) AS no_rows
WHERE 1 = 0;
