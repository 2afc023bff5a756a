-- purpose: the newest events first
-- index: primary key
-- touches: des_archive_event
SELECT event_id, at, actor, action, from_value, to_value, reason, details, prev_hash, hash
FROM des_archive_event
ORDER BY event_id DESC
LIMIT :page_size;
