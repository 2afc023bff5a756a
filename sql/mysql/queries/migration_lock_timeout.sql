-- purpose: how long a statement may wait for a lock
-- index: none
-- touches: nothing
SET SESSION lock_wait_timeout = :timeout_s, innodb_lock_wait_timeout = :timeout_s;
