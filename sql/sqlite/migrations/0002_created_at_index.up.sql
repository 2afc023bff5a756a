-- Revision 0002_created_at_index, branch source: windows of created_at without the archived column.

-- step: create_created_at_index
-- purpose: an index on created_at alone
-- lock: the database, until the index is built
-- cost: reads the table once
CREATE INDEX {created_at_index_path} ON {files_table} ({created_at});
