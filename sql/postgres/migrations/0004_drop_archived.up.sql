-- Revision 0004_drop_archived, branch source: the column that nobody reads any more.
-- It also drops every index that mentions the column. Never CASCADE: a view must be named first.

-- step: drop_created_archived_index
-- purpose: the index of the per-record packer
-- lock: SHARE UPDATE EXCLUSIVE: nobody who reads or writes rows waits
-- outside: transaction
DROP INDEX CONCURRENTLY IF EXISTS {created_archived_index_path};

-- step: drop_archived
-- purpose: the column archived
-- lock: ACCESS EXCLUSIVE, for a moment
-- cost: catalogue only
ALTER TABLE {files} DROP COLUMN {archived};
