-- purpose: rows whose created_at no window can see: none at all, or outside the calendar
-- index: {created_at_index}
-- touches: files (those rows)
SELECT CAST({uid} AS text) AS uid,
       CAST(0 AS bigint) AS created_us,
       {location} AS location,
       CAST(NULL AS bigint) AS size_bytes
FROM {files}
WHERE {created_at} IS NULL
UNION ALL
SELECT CAST({uid} AS text), CAST(0 AS bigint), {location}, CAST(NULL AS bigint)
FROM {files}
-- Without a zone: in the session's, in which the driver reads what it gets.
WHERE {created_at} < '0001-01-04 00:00:00'
UNION ALL
SELECT CAST({uid} AS text), CAST(0 AS bigint), {location}, CAST(NULL AS bigint)
FROM {files}
WHERE {created_at} >= '9999-12-28 00:00:00';
