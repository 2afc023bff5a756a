-- purpose: mark a batch of packed rows, in per-record mode
-- index: the key on uid, or {created_at_index}
-- touches: files (a batch)
UPDATE {files}
SET {archived} = TRUE
WHERE {uid} IN :uids AND {uid_bytes} IN :uids
  AND {created_at_utc} > :start_at AND {created_at_utc} <= :end_at;
