-- purpose: let the next deletion look again at the shards that kept some of their sources
-- index: none: run by hand, one pass over the ledger's shards
-- touches: des_archive_shard
UPDATE des_archive_shard
SET sources_deleted_at = NULL, sources_kept = NULL
WHERE sources_kept > 0;
