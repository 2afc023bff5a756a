-- purpose: rows that no window sees, without created_at or with what is no time, are not archived
-- index: none: of what is no time, no index tells; run if there are such rows
-- touches: files (those rows)
UPDATE {files}
SET {archived} = FALSE
WHERE NOT {is_time} AND {archived} IS NOT FALSE;
