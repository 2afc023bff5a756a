-- purpose: whom the sessions of des-admin wait for right now
-- index: none: system views
-- touches: system views
SELECT NULL AS session, NULL AS user_name, 0 AS age_s, NULL AS state, NULL AS query
FROM (SELECT 1 AS one) AS no_rows
WHERE 1 = 0;
