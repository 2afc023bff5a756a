-- purpose: about how many rows files has: the highest row number
-- index: the table's own key
-- touches: files (one row)
SELECT MAX({row_key}) AS estimated_rows
FROM {files};
