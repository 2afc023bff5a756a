-- purpose: the first rows of a window: of some of these, a dictionary is trained
-- index: {created_at_index}
-- touches: files (sample_size rows at most)
SELECT {uid_text} AS uid,
       {created_us} AS created_us,
       {location} AS location,
       {size_number} AS size_bytes
FROM {files}
WHERE {in_window}
ORDER BY {created_at}
LIMIT :sample_size;
