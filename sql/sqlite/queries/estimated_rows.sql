-- purpose: how many rows the catalogue believes files to have
-- index: none: system views
-- touches: system views
SELECT MAX(_rowid_) AS estimated_rows
FROM {files};
