-- purpose: the first value of the watermark
-- index: primary key
-- touches: des_archive_config
INSERT INTO des_archive_config (id, archived_until, lag_days, last_updated, updated_by, fence)
VALUES (1, :archived_until, :lag_days, :now, :actor, :fence);
