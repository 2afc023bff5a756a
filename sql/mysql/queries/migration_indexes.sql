-- purpose: the indexes of files: their columns in order, whether they work, what they leave out
-- index: none: system views
-- touches: system views
-- MySQL calls an index that is kept but not used invisible, MariaDB calls it ignored.
SELECT s.index_name AS name,
       s.seq_in_index AS position,
       s.column_name AS column_name,
       /*!80000 s.is_visible = 'YES' AND */ /*M!100600 s.ignored = 'NO' AND */ 1 = 1 AS is_valid,
       s.non_unique = 0 AS is_unique,
       LOWER(s.index_type) AS method,
       NULL AS predicate,
       NULL AS definition
FROM information_schema.statistics AS s
WHERE s.table_schema = COALESCE(:schema_name, DATABASE()) AND s.table_name = :table_only
ORDER BY s.index_name, s.seq_in_index;
