-- Revision 0004_drop_archived, branch source: the column that nobody reads any more.

-- step: drop_created_archived_index
-- purpose: the index of the per-record packer
-- lock: the database, for a moment
-- group: drop
DROP INDEX IF EXISTS {created_archived_index_path};

-- step: drop_archived
-- purpose: the column archived
-- lock: the database, until it is done
-- cost: rewrites the table
-- group: drop
ALTER TABLE {files} DROP COLUMN {archived};
