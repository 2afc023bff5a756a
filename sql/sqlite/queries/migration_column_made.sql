-- purpose: what of the column archived the way back does not make again
-- index: none: system views
-- touches: system views
WITH place AS (
    SELECT * FROM pragma_table_info(:table_only) WHERE lower(name) = lower(:column_name)
)
SELECT 'type' AS kind, type AS name FROM place WHERE upper(type) <> 'BOOLEAN'
UNION ALL
SELECT 'nullability', 'NULL is allowed' FROM place WHERE NOT "notnull"
UNION ALL
SELECT 'default', COALESCE(dflt_value, 'none')
FROM place
WHERE upper(COALESCE(dflt_value, 'none')) NOT IN ('0', 'FALSE')
UNION ALL
SELECT 'position', 'it comes back as the last column'
FROM place
WHERE EXISTS (SELECT 1 FROM pragma_table_info(:table_only) AS later WHERE later.cid > place.cid)
ORDER BY kind;
