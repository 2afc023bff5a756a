-- purpose: the oldest row of files
-- index: {created_at_index}
-- touches: files (one row)
SELECT MIN({created_at_utc}) AS created_at
FROM {files}
WHERE {created_at} < (SELECT date(substr({created_at}, 1, 10), '+3 days')
                       FROM {files}
                       WHERE {is_time}
                       ORDER BY {created_at}
                       LIMIT 1);
