-- Revision 0002_created_at_index, branch source: windows of created_at without the archived column.

-- step: drop_leftover
-- purpose: what a build that was cut off left behind: it costs every write and serves no read
-- lock: SHARE UPDATE EXCLUSIVE: nobody who reads or writes rows waits
-- outside: transaction
-- only: program
DROP INDEX CONCURRENTLY IF EXISTS {created_at_index_path};

-- step: create_created_at_index
-- purpose: an index on created_at alone, built while writers go on
-- lock: SHARE UPDATE EXCLUSIVE: nobody who reads or writes rows waits
-- cost: reads the table twice
-- outside: transaction
CREATE INDEX CONCURRENTLY {created_at_index} ON {files} ({created_at});
