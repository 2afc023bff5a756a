-- purpose: what was packed of each day of created_at, newest first
-- index: shards by (day, bucket)
-- touches: des_archive_shard
SELECT day,
       SUM(files) AS files,
       SUM(content_bytes) AS content_bytes,
       SUM(size_bytes) AS shard_bytes,
       COUNT(*) AS shards
FROM des_archive_shard
WHERE day >= :first_day AND day <= :last_day
GROUP BY day
ORDER BY day DESC
LIMIT :page_size;
