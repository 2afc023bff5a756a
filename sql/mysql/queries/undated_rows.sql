-- purpose: rows whose created_at no window can see: none at all, or the zero date
-- index: {created_at_index}
-- touches: files (those rows)
SELECT {uid} AS uid, 0 AS created_us, {location} AS location, NULL AS size_bytes
FROM {files}
WHERE {created_at} IS NULL
UNION ALL
SELECT {uid}, 0, {location}, NULL
FROM {files}
WHERE {created_at} < '1000-01-01 00:00:00';
