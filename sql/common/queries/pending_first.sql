-- purpose: the oldest row that the per-record way has not marked
-- index: {created_archived_index}
-- touches: files (one row)
SELECT {created_at} AS created_at
FROM {files}
WHERE {created_at} > :start_at AND {created_at} <= :end_at
  AND {archived} = FALSE
ORDER BY {created_at}
LIMIT 1;
