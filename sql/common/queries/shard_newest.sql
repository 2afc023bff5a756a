-- purpose: some shards of the newest slice that made any
-- index: shards by slice_id
-- touches: des_archive_shard
SELECT name
FROM des_archive_shard
WHERE slice_id = (SELECT MAX(slice_id) FROM des_archive_shard)
ORDER BY name
LIMIT :page_size;
