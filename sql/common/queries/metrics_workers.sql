-- purpose: how far each sharded worker has packed
-- index: none: a table of one row per worker
-- touches: des_archive_worker
SELECT worker_id, workers_total, packed_until, updated_at
FROM des_archive_worker
ORDER BY workers_total, worker_id
LIMIT 65536;
