-- purpose: where the ledger begins: what lies at or before this was packed without it
-- index: none: a row per slice, a few thousand in ten years
-- touches: des_archive_slice
SELECT MIN(window_start) AS window_start
FROM des_archive_slice
WHERE kind = :kind;
