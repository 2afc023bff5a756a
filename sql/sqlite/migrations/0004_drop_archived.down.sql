-- Revision 0004_drop_archived back: the column again. SQLite has no SET DEFAULT, so every archived
-- row is written.

-- step: add_archived
-- purpose: the column as it was; FALSE in every row, unless it had another default
-- lock: the database, for a moment
-- cost: catalogue only
ALTER TABLE {files} ADD COLUMN {archived_definition};
