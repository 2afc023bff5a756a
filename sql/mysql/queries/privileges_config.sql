-- purpose: what this user and its active roles may do, to compare with the needs of our tables
-- index: none: system tables
-- touches: system tables
SHOW GRANTS;
