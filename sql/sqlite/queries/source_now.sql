-- purpose: the server's time, for a user who may not see other sessions
-- index: none
-- touches: nothing
SELECT strftime('%Y-%m-%d %H:%M:%f', 'now') AS now;
