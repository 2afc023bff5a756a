-- Revision 0002_created_at_index, branch source: windows of created_at without the archived column.

-- step: create_created_at_index
-- purpose: an index on created_at alone, built while writers go on
-- lock: metadata lock, exclusive only for a moment at begin and end
-- cost: reads the table once, in place
ALTER TABLE {files} ADD INDEX {created_at_index} ({created_at}), ALGORITHM=INPLACE, LOCK=NONE;
