-- purpose: every row of the demo with its flag, for the proof at the end
-- index: none: reads the whole table, which is small
-- touches: files (all rows)
SELECT {uid} AS uid, {created_at} AS created_at, {archived} AS archived
FROM {files};
