-- purpose: write the archived flag of one chunk as the watermark has it
-- index: {created_at_index}
-- touches: files (one chunk)
UPDATE {files}
SET {archived} = ({created_at_utc} <= :watermark)
WHERE {created_at} >= :net_start AND {created_at_utc} > :start_at  -- first page
WHERE {created_at} >= :page_created_at  -- next page
  AND ({created_at} > :page_created_at OR {row_key} > :page_key)  -- next page
  AND {created_at_utc} > :start_at  -- next page
  AND {created_at} <= :last_created_at
  AND ({created_at} < :last_created_at OR {row_key} <= :last_key)
  AND {archived} IS NOT ({created_at_utc} <= :watermark);
