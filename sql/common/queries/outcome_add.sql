-- purpose: record how a job ended
-- index: primary key
-- touches: des_archive_outcome
INSERT INTO des_archive_outcome
    (job, worker, actor, started_at, ended_at, exit_code, files, message, hint)
VALUES
    (:job, :worker, :actor, :started_at, :ended_at, :exit_code, :files, :message, :hint);
