-- Revision 0003_watermark back: the rollback. What is archived is written into the column archived,
-- then the watermark goes. Ledger, exceptions and events stay.

-- step: write_flags
-- purpose: a file is archived if it lies at or below the watermark, unless it is an open exception
-- lock: row locks on what it changes
-- cost: reads the table once and writes the rows whose flag changes; des-admin does it in chunks
-- only: together
UPDATE {files}
SET {archived} = CASE
    WHEN (CAST({uid} AS text), {created_at}) IN (SELECT e.uid, e.created_at FROM des_archive_exception AS e
             WHERE e.resolved_at IS NULL AND e.archived = FALSE) THEN FALSE
    WHEN (CAST({uid} AS text), {created_at}) IN (SELECT e.uid, e.created_at FROM des_archive_exception AS e
             WHERE e.resolved_at IS NULL AND e.archived = TRUE) THEN TRUE
    ELSE {is_time} AND {created_at} <= (SELECT archived_until FROM des_archive_config WHERE id = 1)
    END
WHERE {archived} IS DISTINCT FROM CASE
    WHEN (CAST({uid} AS text), {created_at}) IN (SELECT e.uid, e.created_at FROM des_archive_exception AS e
             WHERE e.resolved_at IS NULL AND e.archived = FALSE) THEN FALSE
    WHEN (CAST({uid} AS text), {created_at}) IN (SELECT e.uid, e.created_at FROM des_archive_exception AS e
             WHERE e.resolved_at IS NULL AND e.archived = TRUE) THEN TRUE
    ELSE {is_time} AND {created_at} <= (SELECT archived_until FROM des_archive_config WHERE id = 1)
    END;

-- step: write_flags_at
-- purpose: the same where the watermark lives in another database; the exceptions follow one by one
-- lock: row locks on what it changes
-- cost: reads the table once and writes the rows whose flag changes; des-admin does it in chunks
-- only: apart
UPDATE {files}
SET {archived} = ({is_time} AND {created_at} <= :watermark)
WHERE {archived} IS DISTINCT FROM ({is_time} AND {created_at} <= :watermark);

-- step: remember_fence
-- purpose: a later watermark begins above every fence that this one had
-- lock: row locks on what it changes
-- group: retirement
INSERT INTO des_archive_job
    (name, state, cursor_created_at, cursor_uid, rows_done, rows_total, started_at, updated_at, details)
SELECT 'retired', 'done', archived_until, NULL, 0, NULL, now(), now(), '{"fence": ' || fence || '}'
FROM des_archive_config
WHERE id = 1
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state, cursor_created_at = excluded.cursor_created_at,
    rows_done = excluded.rows_done, updated_at = excluded.updated_at, details = excluded.details;

-- step: close_exceptions
-- purpose: the column archived holds the truth again, so no exception stays open
-- lock: row locks on what it changes
-- group: retirement
UPDATE des_archive_exception
SET resolved_at = now(), resolution = 'rolled_back'
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
-- lock: ACCESS EXCLUSIVE on des_archive_config
DROP TABLE IF EXISTS des_archive_config;
