-- purpose: the indexes of every partition of files, and which index each is attached to
-- index: none: system views
-- touches: system views
SELECT tn.nspname AS schema_name,
       tc.relname AS table_name,
       c.relname AS name,
       (SELECT array_agg(CAST(a.attname AS text) ORDER BY k.position)
        FROM unnest(CAST(x.indkey AS smallint[])) WITH ORDINALITY AS k(attribute, position)
        LEFT JOIN pg_attribute AS a
            ON a.attrelid = x.indrelid AND a.attnum = k.attribute AND k.attribute > 0) AS columns,
       x.indisvalid AND x.indisready AS is_valid,
       m.amname = 'btree' AND NOT x.indisunique
           AND 0 = ALL (CAST(x.indoption AS smallint[])) AS is_plain,
       pg_get_expr(x.indpred, x.indrelid) AS predicate,
       p.relname AS attached_to
FROM pg_partition_tree(CAST(:table_name AS regclass)) AS t
JOIN pg_index AS x ON x.indrelid = t.relid
JOIN pg_class AS c ON c.oid = x.indexrelid
JOIN pg_am AS m ON m.oid = c.relam
JOIN pg_class AS tc ON tc.oid = t.relid
JOIN pg_namespace AS tn ON tn.oid = tc.relnamespace
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
LEFT JOIN pg_class AS p ON p.oid = i.inhparent
ORDER BY tc.relname, c.relname;
