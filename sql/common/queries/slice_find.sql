-- purpose: whether a slice reached the ledger: asked when a commit's outcome is unknown
-- index: slices by window_end
-- touches: des_archive_slice
SELECT slice_id
FROM des_archive_slice
WHERE run_id = :run_id AND kind = :kind AND window_start = :window_start
  AND window_end = :window_end AND worker = :worker;
