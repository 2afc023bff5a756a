-- purpose: write the archived flag of one chunk as the watermark has it
-- index: {created_at_index}
-- touches: files (one chunk)
UPDATE {files}
SET {archived} = ({created_at} <= :watermark)
WHERE {created_at} > :start_at  -- first page
WHERE {created_at} >= :page_created_at  -- next page
  AND ({created_at} > :page_created_at OR {uid} > :page_key)  -- next page
  AND {created_at} <= :last_created_at
  AND ({created_at} < :last_created_at OR {uid} <= :last_key OR {uid} IS NULL OR :last_key IS NULL)
  AND {archived} IS DISTINCT FROM ({created_at} <= :watermark);
