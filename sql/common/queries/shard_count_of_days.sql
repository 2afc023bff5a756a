-- purpose: how many shards a range of days has
-- index: shards by (day, bucket)
-- touches: des_archive_shard
SELECT COUNT(*) AS shards
FROM des_archive_shard
WHERE day >= :first_day AND day <= :last_day;
