-- purpose: open the exceptions that were held back until the watermark came to them
-- index: held exceptions by created_at
-- touches: des_archive_exception
UPDATE des_archive_exception
SET resolved_at = NULL, resolution = NULL
WHERE resolution = 'awaits_watermark' AND created_at <= :end_at;
