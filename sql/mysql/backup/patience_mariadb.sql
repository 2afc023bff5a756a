-- purpose: counting may not be cut off by a limit meant for others
-- index: none
-- touches: this session
SET SESSION max_statement_time = 0;
