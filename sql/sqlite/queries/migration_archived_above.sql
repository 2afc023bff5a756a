-- purpose: archived rows above a time, counted up to a limit
-- index: {created_at_index}
-- touches: files (above the time)
SELECT COUNT(*) AS files
FROM (SELECT 1 AS one
      FROM {files}
      WHERE {created_at} >= :net_start AND {created_at_utc} > :seed AND {archived} = TRUE
      LIMIT :limit) AS found;
