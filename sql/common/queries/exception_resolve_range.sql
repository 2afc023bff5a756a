-- purpose: close the exceptions of a range whose truth agrees with the watermark again
-- index: open exceptions by created_at
-- touches: des_archive_exception
UPDATE des_archive_exception
SET resolved_at = :now, resolution = :resolution
WHERE resolved_at IS NULL
  AND archived = :archived
  AND created_at > :start_at AND created_at <= :end_at;
