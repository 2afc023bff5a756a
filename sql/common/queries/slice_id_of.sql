-- purpose: the slice that this run has just recorded
-- index: slices by window_end
-- touches: des_archive_slice
SELECT MAX(slice_id) AS slice_id
FROM des_archive_slice
WHERE run_id = :run_id AND kind = :kind AND window_end = :window_end AND worker = :worker;
