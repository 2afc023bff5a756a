-- purpose: who holds files, so that a change of the table must wait: oldest first
-- index: none: system views
-- touches: system views
SELECT NULL AS session, NULL AS user_name, 0 AS age_s, NULL AS state, NULL AS query
WHERE 1 = 0;
