-- purpose: become the only writer, or learn at once that somebody else is
-- index: none
-- touches: nothing
SELECT pg_try_advisory_lock(:key, hashtext(current_schema())) AS held;
