-- purpose: record one packed slice
-- index: primary key
-- touches: des_archive_slice
INSERT INTO des_archive_slice
    (run_id, kind, window_start, window_end, worker, workers, files_in, files_out, files_failed,
     files_present, bytes_in, bytes_out, started_at, finished_at, versions,
     head_event, head_hash)
VALUES
    (:run_id, :kind, :window_start, :window_end, :worker, :workers, :files_in, :files_out,
     :files_failed, :files_present, :bytes_in, :bytes_out, :started_at, :finished_at,
     :versions, :head_event, :head_hash);
