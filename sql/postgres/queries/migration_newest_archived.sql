-- purpose: the newest archived row: where the watermark is seeded
-- index: {created_at_index}, backwards, over what is not archived yet
-- touches: files (what is newer than the newest archived row)
SELECT {created_at} AS created_at
FROM {files}
WHERE {archived} AND {created_at} <= :end_at AND {is_time}
ORDER BY {created_at} DESC
LIMIT 1;
