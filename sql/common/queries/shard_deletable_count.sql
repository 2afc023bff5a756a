-- purpose: how many shards and files wait for the deletion of their sources
-- index: shards by (sources_deleted_at, name)
-- touches: des_archive_shard, des_archive_slice
SELECT COUNT(*) AS shards, COALESCE(SUM(s.files), 0) AS files,
       COALESCE(SUM(s.content_bytes), 0) AS content_bytes
FROM des_archive_shard s
JOIN des_archive_slice l ON l.slice_id = s.slice_id
WHERE s.sources_deleted_at IS NULL
  AND s.day < :before_day
  AND l.finished_at < :finished_before;
