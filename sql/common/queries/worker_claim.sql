-- purpose: become this sharded worker: whoever was it before can commit no more
-- index: primary key
-- touches: des_archive_worker
UPDATE des_archive_worker
SET fence = :fence
WHERE worker_id = :worker_id AND workers_total = :workers_total;
