-- purpose: the server's time, and the start of the oldest transaction still open on the source
-- index: none: system views
-- touches: system views
SELECT strftime('%Y-%m-%d %H:%M:%f', 'now') AS now,
       NULL AS oldest_transaction,
       0 AS hidden_sessions;
