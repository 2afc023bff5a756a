-- purpose: how the slices of a day were packed, the first one first: late rows take its dictionary
-- index: shards by (day, bucket)
-- touches: des_archive_shard (one day), des_archive_slice
SELECT s.versions
FROM des_archive_slice AS s
WHERE s.slice_id IN (SELECT slice_id FROM des_archive_shard WHERE day = :day)
  AND s.kind = 'window'
ORDER BY s.slice_id;
