-- purpose: give up the exceptions that were held back: their rows will be read again
-- index: held exceptions by created_at
-- touches: des_archive_exception
UPDATE des_archive_exception
SET resolution = 'to_be_replayed'
WHERE resolution = 'awaits_watermark';
