-- purpose: how many rows a window holds
-- index: {created_at_index}
-- touches: files (bounded by the window)
SELECT COUNT(*) AS files
FROM {files}
WHERE {in_window};
