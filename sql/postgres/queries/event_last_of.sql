-- purpose: the newest event of one action
-- index: primary key, backwards
-- touches: des_archive_event
SELECT event_id, to_value, from_value, details
FROM des_archive_event
WHERE action = :action
ORDER BY event_id DESC
LIMIT 1;
