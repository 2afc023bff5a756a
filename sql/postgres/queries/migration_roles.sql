-- purpose: the roles that there are, of those that were granted something on the column archived
-- index: none: system views
-- touches: system views
SELECT rolname AS name FROM pg_roles WHERE rolname = ANY (:roles);
