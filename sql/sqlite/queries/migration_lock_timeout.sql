-- purpose: how long a statement may wait for a lock
-- index: none
-- touches: nothing
PRAGMA busy_timeout;
