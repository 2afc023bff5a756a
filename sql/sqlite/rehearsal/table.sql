-- purpose: the statements that make files anew in an empty database: the table and its indexes
-- index: none: system views
-- touches: system views
SELECT sql AS statement
FROM sqlite_master
WHERE type IN ('table', 'index') AND lower(tbl_name) = lower(:table_only) AND sql IS NOT NULL
ORDER BY type = 'index', name;
