-- purpose: the watermark row, or rows: more than one is an error
-- index: primary key
-- touches: des_archive_config
SELECT id, archived_until, lag_days, fence, last_updated, updated_by
FROM des_archive_config
ORDER BY id
LIMIT 2;
