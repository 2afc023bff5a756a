-- purpose: give the lock back
-- index: none
-- touches: nothing
SELECT pg_advisory_unlock(:key, hashtext(current_schema())) AS released;
