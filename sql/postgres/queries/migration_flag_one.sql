-- purpose: write the archived flag of one exception
-- index: {created_at_index} or the key on uid
-- touches: files (one row)
UPDATE {files}
SET {archived} = :archived
WHERE {created_at} > :start_at AND {created_at} <= :end_at
  AND {uid_is}
  AND {archived} IS DISTINCT FROM :archived;
