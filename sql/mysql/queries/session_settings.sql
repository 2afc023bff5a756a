-- purpose: the limits that a session begins with, and how the server logs what is written
-- index: none: system views
-- touches: system views
SHOW GLOBAL VARIABLES
WHERE variable_name IN ('max_statement_time', 'max_execution_time', 'idle_transaction_timeout',
                        'idle_readonly_transaction_timeout', 'idle_write_transaction_timeout',
                        'log_bin', 'binlog_format');
