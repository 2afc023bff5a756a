-- purpose: bytes that files takes on disk, with its indexes
-- index: none: system views
-- touches: system views
SELECT CAST(SUM(pg_total_relation_size(t.relid)) AS bigint) AS size_bytes
FROM (SELECT CAST(:table_name AS regclass) AS relid
      UNION
      SELECT relid FROM pg_partition_tree(CAST(:table_name AS regclass))) AS t;
