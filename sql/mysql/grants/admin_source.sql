-- purpose: migrations change files, and look for what uses them; a backup begins with a moment without writers
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, TRIGGER, SHOW VIEW, LOCK TABLES, EVENT ON {files_schema}.* TO {account};
GRANT PROCESS ON *.* TO {account};
