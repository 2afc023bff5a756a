-- purpose: how many files the ledger has of each day of a range
-- index: shards by (day, bucket)
-- touches: des_archive_shard
SELECT day, SUM(files) AS files
FROM des_archive_shard
WHERE day >= :first_day AND day <= :last_day
GROUP BY day
ORDER BY day;
