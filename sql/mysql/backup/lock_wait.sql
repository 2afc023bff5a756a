-- purpose: give up soon where a table cannot be locked, so that nobody queues behind us
-- index: none
-- touches: this session
SET SESSION lock_wait_timeout = :seconds, innodb_lock_wait_timeout = :seconds;
