-- purpose: the newest day that has a shard
-- index: shards by (day, bucket)
-- touches: des_archive_shard
SELECT MAX(day) AS day
FROM des_archive_shard;
