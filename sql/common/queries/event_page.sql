-- purpose: the audit trail from its beginning, in pages
-- index: primary key
-- touches: des_archive_event
SELECT event_id, at, actor, action, from_value, to_value, reason, details, prev_hash, hash
FROM des_archive_event
WHERE event_id > :after_id
ORDER BY event_id
LIMIT :page_size;
