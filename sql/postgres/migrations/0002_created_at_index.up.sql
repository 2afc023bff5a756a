-- Revision 0002_created_at_index, branch source: windows of created_at without the archived column.

-- step: create_created_at_index
-- purpose: an index on created_at alone, built while writers go on
-- lock: SHARE UPDATE EXCLUSIVE: nobody who reads or writes rows waits
-- cost: reads the table twice
-- outside: transaction
CREATE INDEX CONCURRENTLY {created_at_index} ON {files} ({created_at});
