-- purpose: open exceptions in pages, oldest entry first
-- index: primary key
-- touches: des_archive_exception
SELECT exception_id, uid, uid_sha256, created_at, location, archived, reason, attempts, last_error,
       first_seen, last_seen, next_attempt
FROM des_archive_exception
WHERE exception_id > :after_id AND resolved_at IS NULL
ORDER BY exception_id
LIMIT :page_size;
