-- purpose: the watermark of a table that may have been made by hand
-- index: primary key
-- touches: des_archive_config
SELECT id, archived_until, lag_days
FROM des_archive_config
ORDER BY id
LIMIT 2;
