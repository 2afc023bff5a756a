-- purpose: how long a statement of this transaction may wait for a lock
-- index: none
-- touches: nothing
PRAGMA busy_timeout;
