-- Revision 0002_created_at_index back: the index that the per-record packer reads by.

-- step: create_created_archived_index
-- purpose: the index of what is not archived yet
-- lock: the database, until the index is built
-- cost: reads the table once
CREATE INDEX {created_archived_index_path} ON {files_table} ({created_at}, {archived})
    WHERE {archived} = FALSE;

-- step: drop_created_at_index
-- purpose: the index that the migration made
-- lock: the database, for a moment
DROP INDEX IF EXISTS {created_at_index_path};
