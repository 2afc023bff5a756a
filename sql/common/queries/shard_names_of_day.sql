-- purpose: the shards of one day that the ledger knows, and the windows that they were packed for
-- index: shards by (day, bucket), primary key of slices
-- touches: des_archive_shard, des_archive_slice
SELECT h.name, h.bucket, h.part, s.window_start, s.window_end
FROM des_archive_shard AS h
JOIN des_archive_slice AS s ON s.slice_id = h.slice_id
WHERE h.day = :day
ORDER BY h.bucket, h.part;
