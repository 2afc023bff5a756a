-- purpose: rows whose created_at is not a time, which only SQLite lets in
-- index: {created_at_index}, read once from end to end
-- touches: files (once)
SELECT COUNT(*) AS files, MIN(example) AS example
FROM (SELECT CAST({created_at} AS text) AS example
      FROM {files}
      WHERE {created_at} IS NOT NULL
        AND ({created_at_utc} IS NULL OR CAST({created_at} AS text) NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*')
      LIMIT :limit) AS found;
