-- purpose: the rows of a range of created_at that are open exceptions
-- index: open exceptions by created_at
-- touches: des_archive_exception
SELECT uid_sha256
FROM des_archive_exception
WHERE resolved_at IS NULL AND created_at > :start_at AND created_at <= :end_at;
