-- purpose: what is known of one row as an exception, open or closed
-- index: unique (uid_sha256, created_at)
-- touches: des_archive_exception
SELECT archived, resolved_at, resolution
FROM des_archive_exception
WHERE uid_sha256 = :uid_sha256 AND created_at = :created_at;
