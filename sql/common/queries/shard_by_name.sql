-- purpose: one shard as the ledger has it
-- index: primary key
-- touches: des_archive_shard
SELECT name, slice_id, day, bucket, part, files, content_bytes, size_bytes, sha256, verified_at
FROM des_archive_shard
WHERE name = :name;
