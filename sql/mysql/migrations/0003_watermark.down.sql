-- Revision 0003_watermark back: the rollback. What is archived is written into the column archived,
-- then the watermark goes. Ledger, exceptions and events stay.
-- The exception of a row of 2024-02-31 has the first real instant after it, so times are compared by
-- a range that holds nothing else.

-- step: write_flags
-- purpose: a file is archived if it lies at or below the watermark, unless it is an open exception
-- lock: row locks on what it changes
-- cost: reads the table once and writes the rows whose flag changes; des-admin does it in chunks
-- only: together
UPDATE {files}
SET {archived} = CASE
    WHEN EXISTS (SELECT 1 FROM des_archive_exception AS e
             WHERE e.uid_sha256 = CONVERT(SHA2(CONVERT({files}.{uid} USING utf8mb4), 256) USING ascii)
               AND {files}.{created_at} <= e.created_at
               AND {files}.{created_at} > e.created_at - INTERVAL 1 MICROSECOND
               AND e.resolved_at IS NULL AND e.archived = FALSE) THEN FALSE
    WHEN EXISTS (SELECT 1 FROM des_archive_exception AS e
             WHERE e.uid_sha256 = CONVERT(SHA2(CONVERT({files}.{uid} USING utf8mb4), 256) USING ascii)
               AND {files}.{created_at} <= e.created_at
               AND {files}.{created_at} > e.created_at - INTERVAL 1 MICROSECOND
               AND e.resolved_at IS NULL AND e.archived = TRUE) THEN TRUE
    ELSE {is_time} AND {created_at} <= (SELECT archived_until FROM des_archive_config WHERE id = 1)
    END{kept_clocks}
WHERE NOT {archived} <=> CASE
    WHEN EXISTS (SELECT 1 FROM des_archive_exception AS e
             WHERE e.uid_sha256 = CONVERT(SHA2(CONVERT({files}.{uid} USING utf8mb4), 256) USING ascii)
               AND {files}.{created_at} <= e.created_at
               AND {files}.{created_at} > e.created_at - INTERVAL 1 MICROSECOND
               AND e.resolved_at IS NULL AND e.archived = FALSE) THEN FALSE
    WHEN EXISTS (SELECT 1 FROM des_archive_exception AS e
             WHERE e.uid_sha256 = CONVERT(SHA2(CONVERT({files}.{uid} USING utf8mb4), 256) USING ascii)
               AND {files}.{created_at} <= e.created_at
               AND {files}.{created_at} > e.created_at - INTERVAL 1 MICROSECOND
               AND e.resolved_at IS NULL AND e.archived = TRUE) THEN TRUE
    ELSE {is_time} AND {created_at} <= (SELECT archived_until FROM des_archive_config WHERE id = 1)
    END;

-- step: write_flags_at
-- purpose: the same where the watermark lives in another database; the exceptions follow one by one
-- lock: row locks on what it changes
-- cost: reads the table once and writes the rows whose flag changes; des-admin does it in chunks
-- only: apart
UPDATE {files}
SET {archived} = ({is_time} AND {created_at} <= :watermark){kept_clocks}
WHERE NOT {archived} <=> ({is_time} AND {created_at} <= :watermark);

-- step: remember_fence
-- purpose: a later watermark begins above every fence that this one had
-- lock: row locks on what it changes
-- group: retirement
INSERT INTO des_archive_job
    (name, state, cursor_created_at, cursor_uid, rows_done, rows_total, started_at, updated_at, details)
SELECT 'retired', 'done', archived_until, NULL, 0, NULL, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), CONCAT('{"fence": ', fence, '}')
FROM des_archive_config
WHERE id = 1
ON DUPLICATE KEY UPDATE
    state = VALUES(state), cursor_created_at = VALUES(cursor_created_at),
    rows_done = VALUES(rows_done), updated_at = VALUES(updated_at), details = VALUES(details);

-- step: close_exceptions
-- purpose: the column archived holds the truth again, so no exception stays open
-- lock: row locks on what it changes
-- group: retirement
UPDATE des_archive_exception
SET resolved_at = UTC_TIMESTAMP(6), resolution = 'rolled_back'
WHERE resolved_at IS NULL;

-- step: forget_workers
-- purpose: a later watermark starts anew for every worker
-- lock: row locks on what it changes
-- group: retirement
DELETE FROM des_archive_worker;

-- step: forget_jobs
-- purpose: what a later watermark must not go by
-- lock: row locks on what it changes
-- group: retirement
DELETE FROM des_archive_job
WHERE name IN ('seed', 'rollback_flags', 'compliance_flags', 'archived_column');

-- step: retire_watermark
-- purpose: no watermark any more
-- lock: row locks on what it changes
-- group: retirement
DELETE FROM des_archive_config;

-- step: drop_config
-- purpose: the empty table goes
-- lock: metadata lock on des_archive_config
DROP TABLE IF EXISTS des_archive_config;
