-- purpose: the indexes of files: their columns in order, whether they work, what they leave out
-- index: none: system views
-- touches: system views
SELECT c.relname AS name,
       k.position AS position,
       a.attname AS column_name,
       x.indisvalid AND x.indisready AS is_valid,
       x.indisunique AS is_unique,
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
