-- purpose: what the column archived is made of, but for its grants
-- index: none: system views
-- touches: system views
SELECT format_type(a.atttypid, a.atttypmod) AS type,
       NOT a.attnotnull AS is_nullable,
       pg_get_expr(d.adbin, d.adrelid) AS made_default,
       col_description(a.attrelid, a.attnum) AS comment,
       CASE WHEN a.attstattarget >= 0 THEN a.attstattarget END AS statistics,
       array_to_string(a.attoptions, ', ') AS options,
       NULL AS after_column,
       NOT EXISTS (SELECT 1 FROM pg_attribute AS o
                   WHERE o.attrelid = a.attrelid AND o.attnum > a.attnum
                     AND NOT o.attisdropped) AS is_last,
       FALSE AS is_invisible,
       NULL AS definition,
       (SELECT string_agg(s.provider, ', ')
        FROM pg_seclabels AS s
        WHERE s.objoid = a.attrelid AND s.objsubid = a.attnum
          AND s.classoid = CAST('pg_class' AS regclass)) AS lost
FROM pg_attribute AS a
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = CAST(:table_name AS regclass) AND a.attname = :column_name
  AND NOT a.attisdropped;
