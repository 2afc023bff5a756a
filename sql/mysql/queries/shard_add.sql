-- purpose: record one shard; a name that is known already is that of a shard that was lost
-- index: primary key
-- touches: des_archive_shard
INSERT INTO des_archive_shard
    (name, slice_id, day, bucket, part, files, content_bytes, size_bytes, sha256)
VALUES
    (:name, :slice_id, :day, :bucket, :part, :files, :content_bytes, :size_bytes, :sha256)
ON DUPLICATE KEY UPDATE
    slice_id = VALUES(slice_id),
    files = VALUES(files),
    content_bytes = VALUES(content_bytes),
    size_bytes = VALUES(size_bytes),
    sha256 = VALUES(sha256),
    verified_at = NULL;
