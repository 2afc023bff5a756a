-- purpose: migrations make the tables of the ledger, and own them
GRANT USAGE, CREATE ON SCHEMA public TO {account};
