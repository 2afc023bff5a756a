-- purpose: the server's settings that decide whether a commit survives a power cut
-- index: none: system views
-- touches: system views
SELECT 'innodb_flush_log_at_trx_commit' AS name,
       @@global.innodb_flush_log_at_trx_commit AS setting;
