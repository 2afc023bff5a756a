-- purpose: forget outcomes of one kind of job that are older than those kept
-- index: outcomes by (job, outcome_id)
-- touches: des_archive_outcome
DELETE FROM des_archive_outcome
WHERE job = :job AND outcome_id <= :upto_id;
