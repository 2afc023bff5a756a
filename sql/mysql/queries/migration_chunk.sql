-- purpose: where the first chunk of rows above a time ends  -- first page
-- purpose: where the next chunk of rows ends  -- next page
-- index: {created_at_index}
-- touches: files (one chunk)
SELECT {created_at} AS page_created_at, {uid} AS page_key
FROM (SELECT {created_at}, {uid}
      FROM {files}
      WHERE {created_at} > :start_at  -- first page
      WHERE {created_at} >= :page_created_at  -- next page
        AND ({created_at} > :page_created_at OR {uid} > :page_key)  -- next page
      AND {is_time}
      ORDER BY {created_at}, {uid}
      LIMIT :page_size) AS page
ORDER BY {created_at} DESC, {uid} DESC
LIMIT 1;
