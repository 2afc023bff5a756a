-- Revision 0001_ledger back: the history of the archive goes. Refused without --purge.
-- The table of leases stays: whoever runs this holds one.

-- step: drop_shard
-- purpose: forget the shards
-- lock: the database, for a moment
DROP TABLE IF EXISTS des_archive_shard;

-- step: drop_slice
-- purpose: forget the slices
-- lock: the database, for a moment
DROP TABLE IF EXISTS des_archive_slice;

-- step: drop_exception
-- purpose: forget the exceptions
-- lock: the database, for a moment
DROP TABLE IF EXISTS des_archive_exception;

-- step: drop_worker
-- purpose: forget the workers
-- lock: the database, for a moment
DROP TABLE IF EXISTS des_archive_worker;

-- step: drop_job
-- purpose: forget the jobs
-- lock: the database, for a moment
DROP TABLE IF EXISTS des_archive_job;

-- step: drop_outcome
-- purpose: forget how jobs ended
-- lock: the database, for a moment
DROP TABLE IF EXISTS des_archive_outcome;

-- step: drop_damage
-- purpose: forget what was found damaged
-- lock: the database, for a moment
DROP TABLE IF EXISTS des_archive_damage;

-- step: drop_event
-- purpose: forget the audit trail
-- lock: the database, for a moment
DROP TABLE IF EXISTS des_archive_event;
