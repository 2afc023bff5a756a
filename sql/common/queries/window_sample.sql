-- purpose: the first rows of a window, counted: what waits, without counting all of it
-- index: {created_at_index}
-- touches: files (sample_size rows at most)
SELECT COUNT(*) AS files,
       MIN(sample.des_created_at) AS oldest,
       MAX(sample.des_created_at) AS newest,
       SUM(sample.size_bytes) AS size_bytes
FROM (
    SELECT {created_at_utc} AS des_created_at, {size_number} AS size_bytes
    FROM {files}
    WHERE {in_window}
    ORDER BY {created_at}
    LIMIT :sample_size
) AS sample;
