-- purpose: a user of the dumped server as `show_user` told it, in the file of users beside the dump
-- index: none
-- touches: system tables, where a DBA runs that file
CREATE USER IF NOT EXISTS {account};
