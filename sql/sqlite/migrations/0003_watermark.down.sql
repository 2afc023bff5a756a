-- Revision 0003_watermark back: the rollback. What is archived is written into the column archived,
-- then the watermark goes. Ledger, exceptions and events stay.

-- step: write_flags
-- purpose: a file is archived if it lies at or below the watermark, unless it is an open exception
-- lock: the database, until it is done
-- cost: reads the table once and writes the rows whose flag changes; des-admin does it in chunks
-- only: together
UPDATE {files}
SET {archived} = CASE
    WHEN (CAST({uid} AS text), {created_at_utc}) IN (SELECT e.uid, e.created_at FROM des_archive_exception AS e
             WHERE e.resolved_at IS NULL AND e.archived = FALSE) THEN FALSE
    WHEN (CAST({uid} AS text), {created_at_utc}) IN (SELECT e.uid, e.created_at FROM des_archive_exception AS e
             WHERE e.resolved_at IS NULL AND e.archived = TRUE) THEN TRUE
    ELSE {created_at_utc} IS NOT NULL AND {created_at_utc} <= (SELECT archived_until FROM des_archive_config WHERE id = 1)
    END
WHERE {archived} IS NOT CASE
    WHEN (CAST({uid} AS text), {created_at_utc}) IN (SELECT e.uid, e.created_at FROM des_archive_exception AS e
             WHERE e.resolved_at IS NULL AND e.archived = FALSE) THEN FALSE
    WHEN (CAST({uid} AS text), {created_at_utc}) IN (SELECT e.uid, e.created_at FROM des_archive_exception AS e
             WHERE e.resolved_at IS NULL AND e.archived = TRUE) THEN TRUE
    ELSE {created_at_utc} IS NOT NULL AND {created_at_utc} <= (SELECT archived_until FROM des_archive_config WHERE id = 1)
    END;

-- step: write_flags_at
-- purpose: the same where the watermark lives in another database; the exceptions follow one by one
-- lock: the database, until it is done
-- cost: reads the table once and writes the rows whose flag changes; des-admin does it in chunks
-- only: apart
UPDATE {files}
SET {archived} = ({created_at_utc} IS NOT NULL AND {created_at_utc} <= :watermark)
WHERE {archived} IS NOT ({created_at_utc} IS NOT NULL AND {created_at_utc} <= :watermark);

-- step: remember_fence
-- purpose: a later watermark begins above every fence that this one had
-- lock: the database, for a moment
-- group: retirement
INSERT INTO des_archive_job
    (name, state, cursor_created_at, cursor_uid, rows_done, rows_total, started_at, updated_at, details)
SELECT 'retired', 'done', archived_until, NULL, 0, NULL, strftime('%Y-%m-%d %H:%M:%f', 'now') || '000', strftime('%Y-%m-%d %H:%M:%f', 'now') || '000', '{"fence": ' || fence || '}'
FROM des_archive_config
WHERE id = 1
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state, cursor_created_at = excluded.cursor_created_at,
    rows_done = excluded.rows_done, updated_at = excluded.updated_at, details = excluded.details;

-- step: close_exceptions
-- purpose: the column archived holds the truth again, so no exception stays open
-- lock: the database, until it is done
-- group: retirement
UPDATE des_archive_exception
SET resolved_at = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000', resolution = 'rolled_back'
WHERE resolved_at IS NULL;

-- step: forget_workers
-- purpose: a later watermark starts anew for every worker
-- lock: the database, until it is done
-- group: retirement
DELETE FROM des_archive_worker;

-- step: forget_jobs
-- purpose: what a later watermark must not go by
-- lock: the database, for a moment
-- group: retirement
DELETE FROM des_archive_job
WHERE name IN ('seed', 'rollback_flags', 'compliance_flags', 'archived_column');

-- step: retire_watermark
-- purpose: no watermark any more
-- lock: the database, until it is done
-- group: retirement
DELETE FROM des_archive_config;

-- step: drop_config
-- purpose: the empty table goes
-- lock: the database, for a moment
DROP TABLE IF EXISTS des_archive_config;
