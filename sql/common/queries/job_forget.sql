-- purpose: forget a long job that is over
-- index: primary key
-- touches: des_archive_job
DELETE FROM des_archive_job
WHERE name = :name;
