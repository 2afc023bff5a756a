-- purpose: neither counting nor waiting for pg_dump may be cut off by a limit meant for others
-- index: none
-- touches: this transaction
SELECT set_config('statement_timeout', '0', true),
       set_config('idle_in_transaction_session_timeout', '0', true);
