-- purpose: what fires at each UPDATE of the column archived
-- index: none: system views
-- touches: system views
SELECT m.type AS kind, m.name AS name
FROM sqlite_master AS m
WHERE m.type = 'trigger' AND lower(m.tbl_name) = lower(:table_only)
  AND instr(lower(m.sql), 'update') > 0
ORDER BY name;
