-- purpose: when each shard was verified, in pages by name
-- index: primary key
-- touches: des_archive_shard
SELECT name, size_bytes, verified_at
FROM des_archive_shard
WHERE name > :after_name
ORDER BY name
LIMIT :page_size;
