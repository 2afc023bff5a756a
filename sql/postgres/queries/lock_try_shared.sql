-- purpose: be one of many workers, or learn at once that somebody wants to be alone
-- index: none
-- touches: nothing
SELECT pg_try_advisory_lock_shared(:key, hashtext(current_schema())) AS held;
