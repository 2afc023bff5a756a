-- purpose: rows whose created_at is outside the years 1 to 9999, which no watermark can speak of
-- index: {created_at_index}
-- touches: files (those rows, up to the limit at either end)
SELECT COUNT(*) AS files, MIN(found.example) AS example
FROM ((SELECT CAST({created_at} AS text) AS example
       FROM {files}
       -- Without a zone: in the session's, in which the driver reads what it gets.
       WHERE {created_at} < '0001-01-01 00:00:00'
       LIMIT :limit)
      UNION ALL
      (SELECT CAST({created_at} AS text)
       FROM {files}
       WHERE {created_at} >= '10000-01-01 00:00:00'
       LIMIT :limit)) AS found;
