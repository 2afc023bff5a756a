-- purpose: how many rows the catalogue believes files to have
-- index: none: system views
-- touches: system views
SELECT MAX({row_key}) AS estimated_rows
FROM {files};
