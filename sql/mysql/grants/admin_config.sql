-- purpose: migrations make the tables of the ledger; the admin corrects what is in them
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, REFERENCES, LOCK TABLES, EVENT ON {config_schema}.* TO {account};
GRANT PROCESS ON *.* TO {account};
