-- purpose: the watermark row, kept from changing until the transaction ends
-- index: primary key
-- touches: des_archive_config (row lock)
SELECT id, archived_until, lag_days, fence, last_updated, updated_by
FROM des_archive_config
ORDER BY id
LIMIT 2
FOR UPDATE;
