-- purpose: a snapshot that lasts for the whole transaction
-- index: none
-- touches: this session
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
