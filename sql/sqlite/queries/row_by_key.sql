-- purpose: one row of files by uid and created_at
-- index: {created_at_index} or the key on uid
-- touches: files (one row)
SELECT {uid} AS uid, {location} AS location, {size_number} AS size_bytes
FROM {files}
WHERE {created_at} >= :net_start AND {created_at} < :net_end
  AND {created_at_utc} > :start_at AND {created_at_utc} <= :end_at
  AND {uid_is};
