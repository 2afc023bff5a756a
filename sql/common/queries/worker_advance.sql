-- purpose: how far a sharded worker has packed, if it still is that worker
-- index: primary key
-- touches: des_archive_worker
UPDATE des_archive_worker
SET packed_until = :to_value, updated_at = :now
WHERE worker_id = :worker_id AND workers_total = :workers_total
  AND packed_until = :expected AND fence = :fence;
