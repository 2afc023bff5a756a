-- purpose: how long a statement of this transaction may wait for a lock
-- index: none
-- touches: nothing
SELECT set_config('lock_timeout', CAST(:timeout_ms AS text), true) AS lock_timeout;
