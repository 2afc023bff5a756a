-- purpose: the indexes of files: their columns in order, whether they work, what they leave out
-- index: none: system views
-- touches: system views
SELECT l.name AS name,
       x.seqno + 1 AS position,
       x.name AS column_name,
       1 AS is_valid,
       l."unique" AS is_unique,
       'btree' AS method,
       CASE WHEN l.partial = 1 THEN m.sql END AS predicate,
       m.sql AS definition
FROM pragma_index_list(:table_only) AS l
JOIN pragma_index_xinfo(l.name) AS x
LEFT JOIN sqlite_master AS m ON m.type = 'index' AND m.name = l.name
WHERE x.key = 1
ORDER BY l.name, x.seqno;
