-- purpose: no sharded workers: what they packed ahead of the watermark is found again by its shards
-- index: none: a table of one row per worker
-- touches: des_archive_worker
DELETE FROM des_archive_worker;
