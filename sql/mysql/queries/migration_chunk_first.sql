-- purpose: where the first chunk of rows above a time ends
-- index: {created_at_index}
-- touches: files (one chunk)
SELECT {created_at} AS page_created_at, {uid} AS page_key
FROM (SELECT {created_at}, {uid}
      FROM {files}
      WHERE {created_at} > :start_at
      ORDER BY {created_at}, {uid}
      LIMIT :page_size) AS page
ORDER BY {created_at} DESC, {uid} DESC
LIMIT 1;
