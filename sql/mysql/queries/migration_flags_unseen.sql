-- purpose: rows without created_at are not archived
-- index: {created_at_index}
-- touches: files (rows without created_at)
UPDATE {files}
SET {archived} = FALSE{kept_clocks}
WHERE {created_at} IS NULL AND NOT {archived} <=> FALSE;
