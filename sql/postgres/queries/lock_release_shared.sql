-- purpose: be one of many workers no longer
-- index: none
-- touches: nothing
SELECT pg_advisory_unlock_shared(:key, hashtext(current_schema())) AS released;
