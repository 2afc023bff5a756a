-- purpose: open exceptions of a range whose truth a move of the watermark would turn around
-- index: open exceptions by created_at
-- touches: des_archive_exception
SELECT COUNT(*) AS files
FROM des_archive_exception
WHERE resolved_at IS NULL
  AND archived = :archived
  AND created_at > :start_at AND created_at <= :end_at;
