-- purpose: the head of the audit trail that each slice was recorded with, in pages
-- index: primary key
-- touches: des_archive_slice
SELECT slice_id, head_event, head_hash
FROM des_archive_slice
WHERE slice_id > :after_id AND head_event IS NOT NULL
ORDER BY slice_id
LIMIT :page_size;
