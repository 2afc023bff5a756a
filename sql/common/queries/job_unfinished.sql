-- purpose: long jobs that are not done
-- index: primary key
-- touches: des_archive_job
SELECT name, state, rows_done
FROM des_archive_job
WHERE state IN ('running', 'paused')
ORDER BY name;
