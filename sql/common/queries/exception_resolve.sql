-- purpose: close one exception
-- index: unique (uid_sha256, created_at)
-- touches: des_archive_exception
UPDATE des_archive_exception
SET resolved_at = :now, resolution = :resolution
WHERE uid_sha256 = :uid_sha256 AND created_at = :created_at AND resolved_at IS NULL;
