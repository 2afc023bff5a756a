-- purpose: how many shards a range of slices wrote
-- index: shards by slice_id
-- touches: des_archive_shard (shards of new slices only)
SELECT COUNT(*) AS shards
FROM des_archive_shard
WHERE slice_id > :after_id AND slice_id <= :upto_id;
