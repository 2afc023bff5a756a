-- purpose: the newest archived row: where the watermark is seeded
-- index: {created_at_index}, backwards, over what is not archived yet
-- touches: files (what is newer than the newest archived row)
SELECT MAX({created_at_utc}) AS created_at
FROM {files}
WHERE {archived} = TRUE AND {created_at_utc} <= :end_at
  AND {created_at} >= (SELECT date(substr({created_at}, 1, 10), '-2 days')
                       FROM {files}
                       WHERE {archived} = TRUE AND {created_at} < :net_end
                         AND {created_at_utc} <= :end_at
                       ORDER BY {created_at} DESC
                       LIMIT 1);
