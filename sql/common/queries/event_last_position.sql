-- purpose: the newest event that says where the watermark is, or that it was retired
-- index: primary key, backwards
-- touches: des_archive_event
SELECT event_id, at, actor, action, to_value
FROM des_archive_event
WHERE action IN ('cycle', 'migrate.seed', 'migrate.down', 'watermark set', 'watermark rewind',
                 'watermark advance', 'watermark adopt', 'watermark replay')
ORDER BY event_id DESC
LIMIT 1;
