-- purpose: shards of old enough slices whose sources were not deleted yet, by name
-- index: shards by (sources_deleted_at, name)
-- touches: des_archive_shard, des_archive_slice
SELECT s.name, s.slice_id, s.day, s.bucket, s.part, s.files, s.content_bytes, s.size_bytes,
       s.sha256, s.verified_at
FROM des_archive_shard s
JOIN des_archive_slice l ON l.slice_id = s.slice_id
WHERE s.sources_deleted_at IS NULL
  AND s.name > :after_name
  AND s.day < :before_day
  AND l.finished_at < :finished_before
ORDER BY s.name
LIMIT :page_size;
