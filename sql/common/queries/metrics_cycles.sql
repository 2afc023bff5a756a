-- purpose: how the cycles of each worker ended
-- index: none: a table of a few rows
-- touches: des_archive_job
SELECT name, details
FROM des_archive_job
WHERE SUBSTR(name, 1, 6) = 'cycle-'
ORDER BY name
LIMIT 1000;
