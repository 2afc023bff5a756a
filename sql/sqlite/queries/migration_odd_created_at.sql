-- purpose: rows whose created_at is not a time, which only SQLite lets in: no window sees them
-- index: {created_at_index}, read once from end to end
-- touches: files (once)
SELECT COUNT(*) AS files, MIN(example) AS example
FROM (SELECT substr(CAST({created_at} AS text), 1, 80) AS example
      FROM {files}
      WHERE {created_at} IS NOT NULL AND NOT {is_time}
      LIMIT :limit) AS found;
