-- purpose: the shards of one day that the ledger knows
-- index: shards by (day, bucket)
-- touches: des_archive_shard
SELECT name, bucket, part
FROM des_archive_shard
WHERE day = :day
ORDER BY bucket, part;
