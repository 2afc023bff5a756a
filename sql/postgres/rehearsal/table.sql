-- purpose: the statements that make files anew in an empty database: tables, keys, indexes
-- index: none: system views
-- touches: system views
WITH tree AS (
    SELECT c.oid, c.relname, n.nspname, c.relkind, t.level,
           format('%I.%I', n.nspname, c.relname) AS path,
           (SELECT format('%I.%I', pn.nspname, pc.relname)
            FROM pg_class AS pc JOIN pg_namespace AS pn ON pn.oid = pc.relnamespace
            WHERE pc.oid = t.parentrelid) AS parent,
           pg_get_expr(c.relpartbound, c.oid) AS bound
    FROM (SELECT CAST(:table_name AS regclass) AS relid, NULL AS parentrelid, 0 AS level
          WHERE (SELECT relkind FROM pg_class WHERE oid = CAST(:table_name AS regclass)) = 'r'
          UNION ALL
          SELECT relid, parentrelid, level FROM pg_partition_tree(CAST(:table_name AS regclass))
          WHERE (SELECT relkind FROM pg_class WHERE oid = CAST(:table_name AS regclass)) = 'p') AS t
    JOIN pg_class AS c ON c.oid = t.relid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
), made AS (
    SELECT DISTINCT 0 AS rank, 0 AS level, nspname AS name,
           format('CREATE SCHEMA IF NOT EXISTS %I', nspname) AS statement
    FROM tree
    UNION ALL
    SELECT 1, level, relname,
           CASE WHEN level = 0 THEN format('CREATE TABLE %s (%s)', path,
                    (SELECT string_agg(
                         format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
                         || CASE WHEN a.attgenerated <> '' THEN
                                 ' GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid)
                                 || CASE a.attgenerated WHEN 's' THEN ') STORED' ELSE ') VIRTUAL' END
                                 WHEN d.adbin IS NOT NULL
                                     AND pg_get_expr(d.adbin, d.adrelid) NOT LIKE 'nextval(%' THEN
                                 ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)
                                 ELSE '' END
                         || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
                         ', ' ORDER BY a.attnum)
                     FROM pg_attribute AS a
                     LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                     WHERE a.attrelid = tree.oid AND a.attnum > 0 AND NOT a.attisdropped))
                ELSE format('CREATE TABLE %s PARTITION OF %s %s', path, parent, bound) END
           || CASE WHEN relkind = 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(oid) ELSE '' END
    FROM tree
    UNION ALL
    SELECT 2, level, k.conname,
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', path, k.conname, pg_get_constraintdef(k.oid))
    FROM tree
    JOIN pg_constraint AS k ON k.conrelid = tree.oid
    WHERE k.contype IN ('p', 'u', 'c') AND k.conislocal AND k.conparentid = 0
    UNION ALL
    SELECT 3, level, CAST(CAST(x.indexrelid AS regclass) AS text),
           replace(pg_get_indexdef(x.indexrelid), ' ON ONLY ', ' ON ')
    FROM tree
    JOIN pg_index AS x ON x.indrelid = tree.oid
    WHERE x.indisvalid
      AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.conindid = x.indexrelid)
      AND NOT EXISTS (SELECT 1 FROM pg_inherits AS i WHERE i.inhrelid = x.indexrelid)
)
SELECT statement
FROM made
ORDER BY rank, level, name;
