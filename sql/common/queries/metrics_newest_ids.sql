-- purpose: the newest slice and the newest event
-- index: primary keys
-- touches: des_archive_slice, des_archive_event (one row each)
SELECT (SELECT MAX(slice_id) FROM des_archive_slice) AS slice_id,
       (SELECT MAX(event_id) FROM des_archive_event) AS event_id;
