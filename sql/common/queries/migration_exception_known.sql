-- purpose: whether a row was ever an exception
-- index: unique (uid_sha256, created_at)
-- touches: des_archive_exception
SELECT exception_id
FROM des_archive_exception
WHERE uid_sha256 = :uid_sha256 AND created_at = :created_at;
