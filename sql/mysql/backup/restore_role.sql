-- purpose: a role of the dumped server, in the file of users beside the dump
-- index: none
-- touches: system tables, where a DBA runs that file
CREATE ROLE IF NOT EXISTS {account};
