-- Revision 0004_drop_archived back: the column again, at a cost that grows with what lies above the
-- watermark. Old rows read TRUE from the catalogue; new rows get FALSE. Until the last step is
-- done, the per-record packer finds too little to do, which is safe.
-- Two ALTERs: combined into one, MariaDB makes every old row FALSE. Rows that come between the two
-- lie above the watermark, so the tail corrects them.

-- step: add_archived
-- purpose: the column as it was, TRUE in every row that is there
-- lock: metadata lock, exclusive for a moment
-- cost: catalogue only; uses one of the table's row versions
ALTER TABLE {files} ADD COLUMN {archived} {archived_type} DEFAULT TRUE{archived_rest}, ALGORITHM=INSTANT;

-- step: default_false
-- purpose: rows that come from here on are not archived
-- lock: metadata lock, exclusive for a moment
-- cost: catalogue only
ALTER TABLE {files} ALTER COLUMN {archived} SET DEFAULT FALSE, ALGORITHM=INSTANT;

-- step: write_tail
-- purpose: what lies above the watermark is not archived
-- lock: row locks on what it changes
-- cost: writes the rows above the watermark; des-admin does it in chunks
-- only: together
UPDATE {files}
SET {archived} = FALSE{kept_clocks}
WHERE {archived} AND (NOT {is_time} OR {created_at} > (SELECT archived_until FROM des_archive_config WHERE id = 1));

-- step: write_exceptions
-- purpose: nor are the open exceptions below it; from each to its row, never from each row to them
-- lock: row locks on what it changes
-- cost: writes the rows of the open exceptions
-- only: together
UPDATE des_archive_exception AS e
STRAIGHT_JOIN {files}
  ON {files}.{created_at} <= e.created_at AND {files}.{created_at} > e.created_at - INTERVAL 1 MICROSECOND
 AND e.uid = CONVERT({files}.{uid} USING utf8mb4)
SET {files}.{archived} = e.archived{kept_clocks}
WHERE e.resolved_at IS NULL AND e.archived <> {files}.{archived};

-- step: write_tail_at
-- purpose: the same where the watermark lives in another database; the exceptions follow one by one
-- lock: row locks on what it changes
-- cost: writes the rows above the watermark; des-admin does it in chunks
-- only: apart
UPDATE {files}
SET {archived} = FALSE{kept_clocks}
WHERE {archived} AND (NOT {is_time} OR {created_at} > :watermark);

-- step: restore_default
-- purpose: the default that the column had
-- lock: metadata lock, exclusive for a moment
-- cost: catalogue only
ALTER TABLE {files} ALTER COLUMN {archived} {archived_default}, ALGORITHM=INSTANT;
