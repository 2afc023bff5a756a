-- purpose: the slices after a known one, for totals that are kept up to date slice by slice
-- index: primary key
-- touches: des_archive_slice (new rows only)
SELECT slice_id, kind, files_out, files_failed, bytes_in, bytes_out, finished_at
FROM des_archive_slice
WHERE slice_id > :after_id
ORDER BY slice_id
LIMIT :page_size;
