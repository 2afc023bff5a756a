-- purpose: the rows of a window, streamed in one statement or read in pages
-- index: {created_at_index}
-- touches: files (bounded by the window)
SELECT {uid_text} AS uid,
       {created_us} AS created_us,
       {location} AS location,
       {size_number} AS size_bytes
FROM {files}
WHERE {in_window}
ORDER BY {created_at};
