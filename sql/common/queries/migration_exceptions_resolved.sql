-- purpose: exceptions that were resolved, in pages
-- index: primary key
-- touches: des_archive_exception
SELECT exception_id, uid, uid_sha256, created_at
FROM des_archive_exception
WHERE exception_id > :after_id AND resolved_at IS NOT NULL AND created_at <= :end_at
ORDER BY exception_id
LIMIT :page_size;
