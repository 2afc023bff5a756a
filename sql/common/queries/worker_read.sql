-- purpose: how far one sharded worker has packed
-- index: primary key
-- touches: des_archive_worker
SELECT packed_until, fence
FROM des_archive_worker
WHERE worker_id = :worker_id AND workers_total = :workers_total;
