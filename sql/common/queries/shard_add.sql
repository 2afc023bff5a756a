-- purpose: record one shard; a name that is known already is that of a shard that was lost
-- index: primary key
-- touches: des_archive_shard
INSERT INTO des_archive_shard
    (name, slice_id, day, bucket, part, files, content_bytes, size_bytes, sha256)
VALUES
    (:name, :slice_id, :day, :bucket, :part, :files, :content_bytes, :size_bytes, :sha256)
ON CONFLICT (name) DO UPDATE SET
    slice_id = excluded.slice_id,
    files = excluded.files,
    content_bytes = excluded.content_bytes,
    size_bytes = excluded.size_bytes,
    sha256 = excluded.sha256,
    verified_at = NULL;
