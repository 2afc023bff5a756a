-- purpose: the newest link of the audit trail
-- index: primary key
-- touches: des_archive_event
SELECT event_id, hash
FROM des_archive_event
ORDER BY event_id DESC
LIMIT 1;
