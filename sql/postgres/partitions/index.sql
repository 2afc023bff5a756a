-- An index of a partitioned table, partition by partition: PostgreSQL builds none concurrently on
-- the whole. The parent's index comes first, empty and not valid; it becomes valid by itself with
-- the last partition that is attached. A partition that is added meanwhile gets its index by itself.

-- step: create_parent_created_at
-- purpose: the index of the partitioned table {table}, still without its partitions
-- lock: SHARE, for a moment, on this table alone
CREATE INDEX {index} ON ONLY {table} ({created_at});

-- step: create_partition_created_at
-- purpose: an index on created_at of the partition {table}, built while writers go on
-- lock: SHARE UPDATE EXCLUSIVE: nobody who reads or writes rows waits
-- cost: reads the partition twice
-- outside: transaction
CREATE INDEX CONCURRENTLY {index} ON {table} ({created_at});

-- step: create_parent_created_archived
-- purpose: the index of what is not archived yet of {table}, still without its partitions
-- lock: SHARE, for a moment, on this table alone
CREATE INDEX {index} ON ONLY {table} ({created_at}, {archived}) WHERE {archived} = FALSE;

-- step: create_partition_created_archived
-- purpose: the index of what is not archived yet of the partition {table}
-- lock: SHARE UPDATE EXCLUSIVE: nobody who reads or writes rows waits
-- cost: reads the partition twice
-- outside: transaction
CREATE INDEX CONCURRENTLY {index} ON {table} ({created_at}, {archived}) WHERE {archived} = FALSE;

-- step: drop_leftover
-- purpose: what a build that was cut off left behind: it costs every write and serves no read
-- lock: SHARE UPDATE EXCLUSIVE: nobody who reads or writes rows waits
-- outside: transaction
DROP INDEX CONCURRENTLY IF EXISTS {index_path};

-- step: attach
-- purpose: the partition's index becomes part of the parent's
-- lock: ACCESS EXCLUSIVE on the partition's index, for a moment
-- cost: catalogue only
ALTER INDEX {parent_index_path} ATTACH PARTITION {index_path};

-- step: drop_index
-- purpose: the index that the migration made, with those of its partitions; none goes alone
-- lock: ACCESS EXCLUSIVE on the table and its partitions, for a moment
-- cost: catalogue only
DROP INDEX IF EXISTS {index_path};
