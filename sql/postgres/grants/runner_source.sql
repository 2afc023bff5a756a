-- purpose: the runner reads files, and sees how long others' transactions have been open
GRANT USAGE ON SCHEMA {files_schema} TO {account};
GRANT SELECT ON {files} TO {account};
GRANT pg_read_all_stats TO {account};
