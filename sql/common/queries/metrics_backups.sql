-- purpose: the newest checks of backups after a known event
-- index: primary key
-- touches: des_archive_event (new rows only)
SELECT event_id, details
FROM des_archive_event
WHERE event_id > :after_id AND event_id <= :upto_id
  AND action = 'backup_check'
ORDER BY event_id DESC
LIMIT :page_size;
