-- purpose: rows whose created_at no window can see: none at all, the zero date, ends of the calendar
-- index: {created_at_index}
-- touches: files (those rows)
SELECT {uid} AS uid, 0 AS created_us, {location} AS location, NULL AS size_bytes
FROM {files}
WHERE NOT {is_time};
