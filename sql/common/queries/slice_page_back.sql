-- purpose: the slices before a known one, newest first: how the archive came to where it is
-- index: primary key
-- touches: des_archive_slice (one page)
SELECT slice_id, run_id, kind, window_start, window_end, worker, workers, files_in, files_out,
       files_failed, files_present, bytes_in, bytes_out, started_at, finished_at, versions
FROM des_archive_slice
WHERE slice_id < :before_id
ORDER BY slice_id DESC
LIMIT :page_size;
