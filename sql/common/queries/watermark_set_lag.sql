-- purpose: change lag_days, if it is still what the writer saw
-- index: primary key
-- touches: des_archive_config
UPDATE des_archive_config
SET lag_days = :lag_days, last_updated = :now, updated_by = :actor
WHERE id = 1 AND lag_days = :expected AND fence = :fence;
