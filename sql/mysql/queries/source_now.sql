-- purpose: the server's time, for a user who may not see other sessions
-- index: none
-- touches: nothing
SELECT UTC_TIMESTAMP(6) AS now;
