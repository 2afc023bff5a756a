-- purpose: move the watermark, if value and fence are still what the writer saw
-- index: primary key
-- touches: des_archive_config
UPDATE des_archive_config
SET archived_until = :to_value, last_updated = :now, updated_by = :actor
WHERE id = 1 AND archived_until = :expected AND fence = :fence;
