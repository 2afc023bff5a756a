-- purpose: open exceptions by reason
-- index: open exceptions by created_at
-- touches: des_archive_exception
SELECT reason, archived, COUNT(*) AS files, MIN(created_at) AS oldest, MAX(last_seen) AS last_seen
FROM des_archive_exception
WHERE resolved_at IS NULL
GROUP BY reason, archived
ORDER BY reason, archived;
