-- purpose: pause a long job, or let it go on
-- index: primary key
-- touches: des_archive_job
UPDATE des_archive_job
SET state = :state, updated_at = :now
WHERE name = :name AND state = :expected;
