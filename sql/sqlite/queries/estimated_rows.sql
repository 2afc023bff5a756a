-- purpose: about how many rows files has: as many as its row numbers, or its bytes, leave space for
-- index: the table's own key
-- touches: files (one row at either end)
WITH des_ends AS (
    SELECT (SELECT MIN({row_key}) FROM {files}) AS first, (SELECT MAX({row_key}) FROM {files}) AS last
), des_room AS (
    SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size) / 32 AS files
)
SELECT CASE typeof(des_ends.last)
    WHEN 'integer' THEN MIN(des_ends.last - des_ends.first + 1, des_room.files)
    WHEN 'text' THEN des_room.files
END AS estimated_rows
FROM des_ends, des_room;
