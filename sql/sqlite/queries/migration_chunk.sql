-- purpose: where the first chunk of rows above a time ends  -- first page
-- purpose: where the next chunk of rows ends  -- next page
-- index: {created_at_index}
-- touches: files (one chunk)
SELECT {created_at} AS page_created_at, {row_key} AS page_key
FROM (SELECT {created_at}, {row_key}
      FROM {files}
      WHERE {created_at} >= :net_start  -- first page
      WHERE ({created_at}, {row_key}) > (:page_created_at, :page_key)  -- next page
        AND {is_time}
      ORDER BY {created_at}, {row_key}
      LIMIT :page_size) AS page
ORDER BY {created_at} DESC, {row_key} DESC
LIMIT 1;
