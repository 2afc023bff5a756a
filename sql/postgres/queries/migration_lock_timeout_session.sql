-- purpose: how long a statement outside a transaction may wait for a lock, and that it may work on
-- index: none
-- touches: nothing
SELECT set_config('lock_timeout', CAST(:timeout_ms AS text), false) AS lock_timeout,
       set_config('statement_timeout', '0', false) AS statement_timeout;
