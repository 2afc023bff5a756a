-- purpose: rows that no window sees, without created_at or with what is no time, are not archived
-- index: {created_at_index}
-- touches: files (those rows)
UPDATE {files}
SET {archived} = FALSE
WHERE NOT {is_time} AND {archived} IS DISTINCT FROM FALSE;
