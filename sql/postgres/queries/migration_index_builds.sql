-- purpose: indexes of files that are being built right now
-- index: none: system views
-- touches: system views
SELECT p.pid AS session, p.phase AS phase, p.blocks_done AS done, p.blocks_total AS total
FROM pg_stat_progress_create_index AS p
WHERE p.relid IN (SELECT CAST(:table_name AS regclass)
                  UNION ALL
                  SELECT relid FROM pg_partition_tree(CAST(:table_name AS regclass)));
