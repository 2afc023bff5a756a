-- purpose: the newest row of files
-- index: {created_at_index}
-- touches: files (one row)
SELECT MAX({created_at_utc}) AS created_at
FROM {files}
WHERE {created_at} >= (SELECT date(substr({created_at}, 1, 10), '-2 days')
                       FROM {files}
                       WHERE {is_time}
                       ORDER BY {created_at} DESC
                       LIMIT 1);
