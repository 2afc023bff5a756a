-- purpose: the oldest row that per-record mode has not marked
-- index: {created_archived_index}
-- touches: files (one row)
SELECT {created_at_utc} AS des_created_at
FROM {files}
WHERE {in_window}
  AND {archived} = FALSE
ORDER BY {created_at}
LIMIT 1;
