-- Revision 0004_drop_archived, branch source: the column that nobody reads any more.
-- The index goes first: a column with an index on it cannot be dropped INSTANT.

-- step: drop_created_archived_index
-- purpose: the index of the per-record packer
-- lock: metadata lock, exclusive for a moment
-- cost: catalogue only
ALTER TABLE {files} DROP INDEX {created_archived_index}, ALGORITHM=INPLACE, LOCK=NONE;

-- step: drop_archived
-- purpose: the column archived
-- lock: metadata lock, exclusive for a moment
-- cost: catalogue only; uses one of the table's row versions
ALTER TABLE {files} DROP COLUMN {archived}, ALGORITHM=INSTANT;
