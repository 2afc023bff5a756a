-- purpose: how long a statement outside a transaction may wait for a lock
-- index: none
-- touches: nothing
PRAGMA busy_timeout;
