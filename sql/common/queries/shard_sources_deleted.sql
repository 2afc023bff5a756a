-- purpose: record that the sources of a shard were deleted, and how many had to stay
-- index: primary key
-- touches: des_archive_shard
UPDATE des_archive_shard
SET sources_deleted_at = :now, sources_kept = :kept
WHERE name = :name;
