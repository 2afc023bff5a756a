-- purpose: what this user and its active roles may do, to compare with the needs of the table
-- index: none: system tables
-- touches: system tables
SHOW GRANTS;
