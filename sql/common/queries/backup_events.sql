-- purpose: the newest recorded makings or checks of backups
-- index: primary key, backwards; the trail is short
-- touches: des_archive_event
SELECT at, actor, details
FROM des_archive_event
WHERE action = :action
ORDER BY event_id DESC
LIMIT :page_size;
