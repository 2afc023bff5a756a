-- Revision 0002_created_at_index back: the index that the per-record packer reads by.

-- step: drop_leftover
-- purpose: what a build that was cut off left behind: it costs every write and serves no read
-- lock: SHARE UPDATE EXCLUSIVE: nobody who reads or writes rows waits
-- outside: transaction
-- only: program
DROP INDEX CONCURRENTLY IF EXISTS {created_archived_index_path};

-- step: create_created_archived_index
-- purpose: the index of what is not archived yet
-- lock: SHARE UPDATE EXCLUSIVE: nobody who reads or writes rows waits
-- cost: reads the table twice
-- outside: transaction
CREATE INDEX CONCURRENTLY {created_archived_index} ON {files} ({created_at}, {archived})
    WHERE {archived} = FALSE;

-- step: drop_created_at_index
-- purpose: the index that the migration made
-- lock: SHARE UPDATE EXCLUSIVE: nobody who reads or writes rows waits
-- outside: transaction
DROP INDEX CONCURRENTLY IF EXISTS {created_at_index_path};
