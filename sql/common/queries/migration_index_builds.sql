-- purpose: indexes of files that are being built right now
-- index: none: system views
-- touches: system views
SELECT NULL AS session, NULL AS phase, 0 AS done, 0 AS total
FROM (SELECT 1 AS one) AS no_rows
WHERE 1 = 0;
