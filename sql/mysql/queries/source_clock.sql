-- purpose: the server's time, and the start of the oldest transaction still open on the source
-- index: none: system views
-- touches: system views
-- trx_started is shown in the time zone of the machine, whatever the session's is.
SELECT UTC_TIMESTAMP(6) AS now,
       (SELECT CONVERT_TZ(MIN(trx_started), 'SYSTEM', '+00:00')
        FROM information_schema.innodb_trx
        WHERE trx_mysql_thread_id <> CONNECTION_ID()) AS oldest_transaction,
       0 AS hidden_sessions;
