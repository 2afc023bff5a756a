-- purpose: the oldest row that the per-record way has not marked
-- index: {created_archived_index}
-- touches: files (one row)
SELECT {created_at_utc} AS des_created_at
FROM {files}
WHERE {created_at} >= :net_start AND {created_at} < :net_end
  AND {created_at_utc} > :start_at AND {created_at_utc} <= :end_at
  AND {archived} = FALSE
ORDER BY {created_at}
LIMIT 1;
