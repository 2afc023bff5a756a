-- purpose: rows whose created_at is infinite or at the ends of the calendar, which no window sees
-- index: {created_at_index}
-- touches: files (those rows, up to the limit at either end)
SELECT COUNT(*) AS files, MIN(found.example) AS example
FROM ((SELECT CAST({created_at} AS text) AS example
       FROM {files}
       -- Without a zone: in the session's, in which the driver reads what it gets.
       WHERE {created_at} < '0001-01-04 00:00:00'
       LIMIT :limit)
      UNION ALL
      (SELECT CAST({created_at} AS text)
       FROM {files}
       WHERE {created_at} >= '9999-12-28 00:00:00'
       LIMIT :limit)) AS found;
