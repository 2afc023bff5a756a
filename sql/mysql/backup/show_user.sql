-- purpose: how a user was made, with the hash of its password
-- index: none
-- touches: system tables
SHOW CREATE USER {account};
