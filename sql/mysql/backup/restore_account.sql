-- purpose: a user or role of the dumped server, in the file of users beside the dump
-- index: none
-- touches: system tables, where a DBA runs that file
CREATE {account_kind} IF NOT EXISTS {account};
