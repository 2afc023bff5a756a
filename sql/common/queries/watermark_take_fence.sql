-- purpose: become the writer: whoever saw the old fence can commit no more
-- index: primary key
-- touches: des_archive_config
UPDATE des_archive_config
SET fence = fence + 1
WHERE id = 1;
