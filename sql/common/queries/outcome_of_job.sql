-- purpose: the newest outcomes of one kind of job
-- index: outcomes by (job, outcome_id), backwards
-- touches: des_archive_outcome
SELECT outcome_id, job, worker, actor, started_at, ended_at, exit_code, files, message, hint
FROM des_archive_outcome
WHERE job = :job
ORDER BY outcome_id DESC
LIMIT :page_size;
