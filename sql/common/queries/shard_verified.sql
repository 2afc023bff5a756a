-- purpose: record that a shard was read whole and found sound
-- index: primary key
-- touches: des_archive_shard
UPDATE des_archive_shard
SET verified_at = :now
WHERE name = :name;
