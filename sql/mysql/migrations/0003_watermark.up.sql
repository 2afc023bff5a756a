-- Revision 0003_watermark, branch config: the one row that says what is archived.

-- step: create_config
-- purpose: the watermark
-- lock: none on existing tables
CREATE TABLE IF NOT EXISTS des_archive_config (
    id int NOT NULL PRIMARY KEY,
    archived_until datetime(6) NOT NULL,
    lag_days int NOT NULL,
    last_updated datetime(6) NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated_by varchar(100) NULL,
    fence bigint NOT NULL DEFAULT 0,
    CONSTRAINT des_archive_config_one_row CHECK (id = 1),
    CONSTRAINT des_archive_config_lag CHECK (lag_days >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- step: seed_watermark
-- purpose: start at the newest archived row; if nothing is archived, below the oldest row
-- lock: row locks on what it changes
-- cost: one statement, which reads what is at or below the initial watermark
-- only: script
-- group: seed
INSERT INTO des_archive_config (id, archived_until, lag_days, last_updated, updated_by, fence)
SELECT 1,
       COALESCE(
           CAST(:seed_at AS datetime(6)),
           (SELECT CAST({created_at_utc} AS datetime(6))
            FROM {files}
            WHERE {archived} = TRUE AND {is_time}
            ORDER BY {created_at} DESC
            LIMIT 1),
           CASE WHEN CAST(:default_at AS datetime(6)) < oldest.created_at
               THEN CAST(:default_at AS datetime(6)) END,
           CAST(DATE(oldest.created_at - INTERVAL 1 MICROSECOND) AS datetime(6)),
           CAST(DATE(UTC_TIMESTAMP(6) - INTERVAL :lag_days DAY) AS datetime(6))),
       :lag_days,
       UTC_TIMESTAMP(6),
       :actor,
       COALESCE((SELECT CAST(JSON_VALUE(details, '$.fence') AS signed) + 1
                 FROM des_archive_job
                 WHERE name = 'retired'), 0)
FROM (SELECT (SELECT {created_at_utc} FROM {files} WHERE {is_time} ORDER BY {created_at} LIMIT 1) AS created_at) AS oldest;

-- step: capture_holes
-- purpose: rows at or below the initial watermark that are not archived; des-admin reads them in pages
-- lock: row locks on what it changes
-- cost: one statement, which reads what is at or below the initial watermark
-- only: script
-- group: seed
INSERT INTO des_archive_exception
    (uid_sha256, uid, created_at, location, archived, reason, attempts, first_seen, last_seen)
SELECT SHA2(CONVERT({uid} USING utf8mb4), 256),
       CONVERT({uid} USING utf8mb4), {created_at_utc}, {location}, FALSE, 'pending_at_seed', 0,
       UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)
FROM {files}
WHERE {created_at} <= (SELECT archived_until FROM des_archive_config WHERE id = 1)
  AND {is_time} AND ({archived} <> TRUE OR {archived} IS NULL)
ON DUPLICATE KEY UPDATE
    location = VALUES(location), archived = VALUES(archived), reason = VALUES(reason),
    last_error = NULL, last_seen = VALUES(last_seen), next_attempt = NULL,
    resolved_at = NULL, resolution = NULL;

-- step: remember_seed
-- purpose: where the watermark began, and of which table: below, the column archived stays right
-- lock: row locks on what it changes
-- group: seed
INSERT INTO des_archive_job
    (name, state, cursor_created_at, cursor_uid, rows_done, rows_total, started_at, updated_at, details)
SELECT 'seed', 'done', archived_until, NULL, (SELECT COUNT(*) FROM des_archive_exception WHERE resolved_at IS NULL), NULL, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), :details
FROM des_archive_config
WHERE id = 1
ON DUPLICATE KEY UPDATE
    state = VALUES(state), cursor_created_at = VALUES(cursor_created_at),
    rows_done = VALUES(rows_done), updated_at = VALUES(updated_at), details = VALUES(details);

-- step: adopt_archived_until
-- purpose: a table made by hand: microseconds; DATETIME alone cuts them off
-- lock: metadata lock on des_archive_config
-- only: program
ALTER TABLE des_archive_config 
    MODIFY archived_until datetime(6) NOT NULL;

-- step: adopt_last_updated
-- purpose: a table made by hand: when it was changed
-- lock: metadata lock on des_archive_config
-- only: program
ALTER TABLE des_archive_config 
    ADD COLUMN last_updated datetime(6) NULL DEFAULT CURRENT_TIMESTAMP(6);

-- step: adopt_last_updated_type
-- purpose: a table made by hand: microseconds
-- lock: metadata lock on des_archive_config
-- only: program
ALTER TABLE des_archive_config 
    MODIFY last_updated datetime(6) NULL DEFAULT CURRENT_TIMESTAMP(6);

-- step: adopt_updated_by
-- purpose: a table made by hand: who changed it
-- lock: metadata lock on des_archive_config
-- only: program
ALTER TABLE des_archive_config ADD COLUMN updated_by varchar(100) NULL;

-- step: adopt_fence
-- purpose: a table made by hand: the fencing token against late writers
-- lock: metadata lock on des_archive_config
-- only: program
ALTER TABLE des_archive_config ADD COLUMN fence bigint NOT NULL DEFAULT 0;

-- step: adopt_one_row
-- purpose: a table made by hand: one row only
-- lock: metadata lock on des_archive_config
-- only: program
ALTER TABLE des_archive_config 
    ADD CONSTRAINT des_archive_config_one_row CHECK (id = 1);

-- step: adopt_lag
-- purpose: a table made by hand: no lag into the future
-- lock: metadata lock on des_archive_config
-- only: program
ALTER TABLE des_archive_config 
    ADD CONSTRAINT des_archive_config_lag CHECK (lag_days >= 0);
