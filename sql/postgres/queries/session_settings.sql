-- purpose: the limits that a session begins with: set for the user, the database or the server
-- index: none: system views
-- touches: system views
SELECT name, CASE WHEN reset_val IN ('0', 'off') THEN reset_val ELSE reset_val || COALESCE(unit, '') END
FROM pg_settings
WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_session_timeout',
               'idle_in_transaction_session_timeout', 'default_transaction_read_only');
