-- purpose: scratch databases of rehearsals that were cut off
-- index: none: system views
-- touches: system views
SELECT datname AS name FROM pg_database WHERE datname LIKE 'des\_rehearsal\_%' ORDER BY datname;
