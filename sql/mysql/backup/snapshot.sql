-- purpose: the transaction in which the tables are counted
-- index: none
-- touches: nothing
START TRANSACTION WITH CONSISTENT SNAPSHOT;
