-- purpose: forget a shard that was set aside
-- index: primary key
-- touches: des_archive_shard
DELETE FROM des_archive_shard
WHERE name = :name;
