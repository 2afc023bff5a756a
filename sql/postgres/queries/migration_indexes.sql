-- purpose: the indexes of files: their columns in order, whether they work, what they leave out
-- index: none: system views
-- touches: system views
-- A key says nothing of rows in child tables, and one that could not be built says nothing at all.
SELECT c.relname AS name,
       k.position AS position,
       a.attname AS column_name,
       x.indisvalid AND x.indisready AS is_valid,
       x.indisunique AND x.indisvalid
           AND NOT EXISTS (SELECT 1 FROM pg_inherits AS i
                           JOIN pg_class AS child ON child.oid = i.inhrelid
                           WHERE i.inhparent = x.indrelid AND NOT child.relispartition)
           AS is_unique,
       m.amname AS method,
       pg_get_expr(x.indpred, x.indrelid) AS predicate,
       pg_get_indexdef(x.indexrelid) AS definition
FROM pg_index AS x
JOIN pg_class AS c ON c.oid = x.indexrelid
JOIN pg_am AS m ON m.oid = c.relam
CROSS JOIN LATERAL unnest(CAST(x.indkey AS smallint[])) WITH ORDINALITY AS k(attribute, position)
LEFT JOIN pg_attribute AS a
    ON a.attrelid = x.indrelid AND a.attnum = k.attribute AND k.attribute > 0
WHERE x.indrelid = CAST(:table_name AS regclass) AND k.position <= x.indnkeyatts
ORDER BY c.relname, k.position;
