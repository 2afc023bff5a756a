-- purpose: migrations change files, and look for views and triggers that use what they change
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, TRIGGER, SHOW VIEW ON {files_schema}.* TO {account};
GRANT PROCESS ON *.* TO {account};
