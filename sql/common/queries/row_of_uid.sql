-- purpose: whether files has any row of a uid, before an exception is closed because its row is gone
-- index: the key on uid; it runs only if there is one
-- touches: files (one row)
SELECT 1 AS found
FROM {files}
WHERE {uid_is}
LIMIT 1;
