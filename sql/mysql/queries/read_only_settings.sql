-- purpose: the settings that keep every transaction, or most users, from writing
-- index: none: system views
-- touches: system views
SHOW GLOBAL VARIABLES
WHERE variable_name IN ('read_only', 'super_read_only', 'innodb_read_only',
                        'transaction_read_only', 'tx_read_only');
