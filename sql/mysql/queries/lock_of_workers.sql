-- purpose: a static worker that is at work, if there is one
-- index: none: a table of one row per worker
-- touches: des_archive_worker
SELECT CONCAT(':', worker_id) AS suffix
FROM des_archive_worker
WHERE IS_USED_LOCK(CONCAT('des-admin:', LEFT(SHA2(DATABASE(), 256), 40), ':', worker_id)) IS NOT NULL
ORDER BY worker_id
LIMIT 1;
