-- purpose: rows whose created_at is the zero date or at the ends of the calendar, which no window sees
-- index: {created_at_index}
-- touches: files (those rows, up to the limit)
SELECT COUNT(*) AS files, MIN(found.example) AS example
FROM (SELECT CONCAT({created_at}, '') AS example
      FROM {files}
      WHERE {created_at} IS NOT NULL AND NOT {is_time}
      LIMIT :limit) AS found;
