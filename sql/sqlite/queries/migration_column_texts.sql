-- purpose: routines, events and triggers elsewhere whose text names files and the column archived: none here
-- index: none: system views
-- touches: system views
SELECT NULL AS kind, NULL AS name
FROM (SELECT 1 AS one) AS none_here
WHERE 1 = 0;
