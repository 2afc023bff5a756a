-- Revision 0002_created_at_index back: the index that the per-record packer reads by.

-- step: create_created_archived_index
-- purpose: the index of what is not archived yet
-- lock: metadata lock, exclusive only for a moment at begin and end
-- cost: reads the table once, in place
ALTER TABLE {files} ADD INDEX {created_archived_index} ({created_at}, {archived}),
    ALGORITHM=INPLACE, LOCK=NONE;

-- step: drop_created_at_index
-- purpose: the index that the migration made
-- lock: metadata lock, exclusive for a moment
ALTER TABLE {files} DROP INDEX {created_at_index}, ALGORITHM=INPLACE, LOCK=NONE;
