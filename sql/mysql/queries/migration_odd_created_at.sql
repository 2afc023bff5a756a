-- purpose: rows whose created_at is the zero date, which no watermark can speak of
-- index: {created_at_index}
-- touches: files (those rows, up to the limit)
SELECT COUNT(*) AS files, MIN(found.example) AS example
FROM (SELECT CONCAT({created_at}, '') AS example
      FROM {files}
      WHERE {created_at} < '0001-01-01 00:00:00'
      LIMIT :limit) AS found;
