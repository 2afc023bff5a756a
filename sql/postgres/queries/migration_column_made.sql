-- purpose: what of the column archived the way back does not make again
-- index: none: system views
-- touches: system views
WITH place AS (
    SELECT a.*, pg_get_expr(d.adbin, d.adrelid) AS made_default
    FROM pg_attribute AS a
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = CAST(:table_name AS regclass) AND a.attname = :column_name
)
SELECT 'type' AS kind, format_type(atttypid, atttypmod) AS name
FROM place
WHERE atttypid <> CAST('boolean' AS regtype)
UNION ALL
SELECT 'nullability', 'NULL is allowed' FROM place WHERE NOT attnotnull
UNION ALL
SELECT 'default', COALESCE(made_default, 'none')
FROM place
WHERE made_default IS DISTINCT FROM 'false'
UNION ALL
SELECT 'comment', col_description(attrelid, attnum)
FROM place
WHERE col_description(attrelid, attnum) IS NOT NULL
UNION ALL
SELECT 'grants', CAST(attacl AS text) FROM place WHERE attacl IS NOT NULL
UNION ALL
SELECT 'statistics target', CAST(attstattarget AS text) FROM place WHERE attstattarget >= 0
UNION ALL
SELECT 'options', CAST(attoptions AS text) FROM place WHERE attoptions IS NOT NULL
UNION ALL
SELECT 'position', 'it comes back as the last column'
FROM place
WHERE EXISTS (SELECT 1 FROM pg_attribute AS a
              WHERE a.attrelid = place.attrelid AND a.attnum > place.attnum AND NOT a.attisdropped)
ORDER BY kind;
