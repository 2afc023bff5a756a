-- purpose: what fires at each UPDATE of the column archived
-- index: none: system views
-- touches: system views
WITH RECURSIVE tree AS (
    SELECT CAST(CAST(:table_name AS regclass) AS oid) AS relid
    UNION
    SELECT i.inhrelid FROM pg_inherits AS i JOIN tree ON tree.relid = i.inhparent
), place AS (
    SELECT a.attrelid, a.attnum
    FROM pg_attribute AS a
    WHERE a.attrelid IN (SELECT relid FROM tree)
      AND a.attnum > 0 AND NOT a.attisdropped
)
SELECT DISTINCT 'trigger' AS kind, t.tgname AS name
FROM place
JOIN pg_trigger AS t ON t.tgrelid = place.attrelid
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 16 <> 0
  AND (CAST(t.tgattr AS text) = '' OR place.attnum = ANY (CAST(t.tgattr AS smallint[]))
       AND place.attnum = (SELECT o.attnum FROM pg_attribute AS o
                           WHERE o.attrelid = place.attrelid AND o.attname = :column_name))
UNION
SELECT 'rule', r.rulename
FROM place
JOIN pg_rewrite AS r ON r.ev_class = place.attrelid AND r.ev_type = '2' AND r.ev_enabled <> 'D'
ORDER BY kind, name;
