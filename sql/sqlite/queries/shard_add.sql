-- purpose: record one shard
-- index: primary key
-- touches: des_archive_shard
INSERT INTO des_archive_shard
    (name, slice_id, day, bucket, part, files, content_bytes, size_bytes, sha256)
VALUES
    (:name, :slice_id, :day, :bucket, :part, :files, :content_bytes, :size_bytes, :sha256);
