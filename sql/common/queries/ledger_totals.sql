-- purpose: what the ledger holds in all
-- index: none: a row per slice, a few thousand in ten years
-- touches: des_archive_slice
SELECT COUNT(*) AS slices,
       COALESCE(SUM(files_out - files_present), 0) AS files,
       COALESCE(SUM(bytes_in), 0) AS content_bytes,
       COALESCE(SUM(bytes_out), 0) AS shard_bytes,
       MAX(finished_at) AS last_finished
FROM des_archive_slice;
