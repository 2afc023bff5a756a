-- purpose: what else hangs on files and has to be thought of before it is changed
-- index: none: system views
-- touches: system views
SELECT m.type AS kind, m.name AS name
FROM sqlite_master AS m
WHERE m.type IN ('view', 'trigger')
  AND (m.type = 'view' OR instr(lower(m.sql), 'update') = 0)
  AND (lower(m.tbl_name) = lower(:table_only) OR instr(lower(m.sql), lower(:table_only)) > 0)
UNION ALL
SELECT 'foreign key', m.name
FROM sqlite_master AS m
JOIN pragma_foreign_key_list(m.name) AS k
WHERE m.type = 'table' AND lower(k."table") = lower(:table_only)
ORDER BY kind, name;
