-- purpose: bytes that files takes on disk, with its indexes
-- index: none: system views
-- touches: system views
WITH RECURSIVE tree AS (
    SELECT CAST(CAST(:table_name AS regclass) AS oid) AS relid
    UNION
    SELECT i.inhrelid FROM pg_inherits AS i JOIN tree ON tree.relid = i.inhparent
)
SELECT CAST(SUM(pg_total_relation_size(relid)) AS bigint) AS size_bytes
FROM tree;
