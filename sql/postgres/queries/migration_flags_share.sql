-- purpose: write the archived flag of a quarter of the rows within a chunk, as the watermark has it
-- index: {created_at_index}
-- touches: files (a quarter of one chunk)
UPDATE {files}
SET {archived} = ({created_at} <= :watermark)
WHERE {created_at} > :page_created_at
  AND {created_at} < :last_created_at
  AND (hashtext(CAST({uid} AS text)) & 3) = :share
  AND {archived} IS DISTINCT FROM ({created_at} <= :watermark);
