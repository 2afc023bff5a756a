-- purpose: rows whose created_at is not a time, which only SQLite lets in
-- index: {created_at_index}, read once from end to end
-- touches: files (once)
SELECT 0 AS files, NULL AS example
FROM (SELECT 1 AS one) AS found
WHERE :limit >= 0;
