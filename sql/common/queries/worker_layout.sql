-- purpose: how the archive is shared out among sharded workers, and how far all of them have come
-- index: none: a table of one row per worker
-- touches: des_archive_worker
SELECT workers_total, n_bits, COUNT(*) AS workers, MIN(packed_until) AS all_packed_until
FROM des_archive_worker
GROUP BY workers_total, n_bits
ORDER BY workers_total, n_bits;
