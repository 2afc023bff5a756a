-- purpose: how a window was packed, by whichever worker: the same dictionary serves it again
-- index: slices by window_end
-- touches: des_archive_slice (the slices of one window)
SELECT versions
FROM des_archive_slice
WHERE window_end = :window_end AND window_start = :window_start AND kind = 'window'
ORDER BY slice_id;
