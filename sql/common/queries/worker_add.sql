-- purpose: a sharded worker that begins at the watermark
-- index: primary key
-- touches: des_archive_worker
INSERT INTO des_archive_worker (worker_id, workers_total, n_bits, packed_until, fence, updated_at)
VALUES (:worker_id, :workers_total, :n_bits, :packed_until, :fence, :now);
