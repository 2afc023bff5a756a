-- purpose: how long a statement outside a transaction may wait for a lock
-- index: none
-- touches: nothing
SELECT set_config('lock_timeout', CAST(:timeout_ms AS text), false) AS lock_timeout;
