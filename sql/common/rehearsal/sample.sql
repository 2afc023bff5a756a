-- purpose: whole rows of a window, for a copy on which the migration is rehearsed
-- index: {created_at_index}
-- touches: files (bounded by the window and the limit)
SELECT *
FROM {files}
WHERE {created_at} > :start_at AND {created_at} <= :end_at
ORDER BY {created_at}, {uid}
LIMIT :row_limit;
