-- purpose: open exceptions of a range of created_at
-- index: open exceptions by created_at
-- touches: des_archive_exception
SELECT exception_id, uid, uid_sha256, created_at, archived
FROM des_archive_exception
WHERE resolved_at IS NULL AND created_at > :start_at AND created_at <= :end_at
ORDER BY created_at;
