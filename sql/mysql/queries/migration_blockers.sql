-- purpose: who holds files, so that a change of the table must wait: oldest first
-- index: none: system views
-- touches: system views
SELECT t.trx_mysql_thread_id AS session,
       p.user AS user_name,
       TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS age_s,
       p.command AS state,
       LEFT(COALESCE(t.trx_query, p.info, ''), 200) AS query
FROM information_schema.innodb_trx AS t
LEFT JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id
WHERE t.trx_mysql_thread_id <> CONNECTION_ID()
ORDER BY age_s DESC
LIMIT 5;
