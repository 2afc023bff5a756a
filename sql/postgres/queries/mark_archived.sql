-- purpose: mark a batch of packed rows, in per-record mode
-- index: the key on uid, or {created_at_index}
-- touches: files (a batch)
UPDATE {files}
SET {archived} = TRUE
WHERE {uid} = ANY(:uids) AND {uid_bytes} = ANY(:uids)
  AND {created_at} > :start_at AND {created_at} <= :end_at;
