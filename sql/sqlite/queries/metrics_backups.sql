-- purpose: the newest events about backups after a known event
-- index: primary key
-- touches: des_archive_event (new rows only)
SELECT event_id, at, action, details
FROM des_archive_event
WHERE event_id > :after_id AND event_id <= :upto_id
  AND action IN ('backup_create', 'backup_check')
ORDER BY event_id DESC
LIMIT :page_size;
