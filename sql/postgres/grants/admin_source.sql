-- purpose: migrations change files, which only its owner or a member of that role may
GRANT USAGE, CREATE ON SCHEMA {files_schema} TO {account};
GRANT {files_owner} TO {account};
GRANT pg_read_all_stats TO {account};
