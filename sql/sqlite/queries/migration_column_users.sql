-- purpose: who still uses the column archived
-- index: none: system views
-- touches: system views
SELECT m.type AS kind, m.name AS name
FROM sqlite_master AS m
WHERE m.type IN ('view', 'trigger', 'index')
  AND m.name <> :own_index
  AND (instr(lower(m.sql), lower(:column_name)) > 0)
  AND (lower(m.tbl_name) = lower(:table_only) OR instr(lower(m.sql), lower(:table_only)) > 0)
  AND (m.type <> 'index' OR lower(m.tbl_name) = lower(:table_only))
ORDER BY kind, name;
