-- purpose: what a user or a role may do
-- index: none
-- touches: system tables
SHOW GRANTS FOR {account};
