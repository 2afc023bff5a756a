-- purpose: write the archived flag of one exception
-- index: {created_at_index} or the key on uid
-- touches: files (one row)
UPDATE {files}
SET {archived} = :archived
WHERE {created_at} >= :net_start AND {created_at} < :net_end
  AND {created_at_utc} > :start_at AND {created_at_utc} <= :end_at
  AND {uid_is}
  AND {archived} IS NOT :archived;
