-- Revision 0003_watermark, branch config: the one row that says what is archived.

-- step: create_config
-- purpose: the watermark
-- lock: none on existing tables
CREATE TABLE IF NOT EXISTS des_archive_config (
    id integer PRIMARY KEY CONSTRAINT des_archive_config_one_row CHECK (id = 1),
    archived_until timestamptz NOT NULL,
    lag_days integer NOT NULL CONSTRAINT des_archive_config_lag CHECK (lag_days >= 0),
    last_updated timestamptz DEFAULT now(),
    updated_by varchar(100),
    fence bigint NOT NULL DEFAULT 0
);

-- step: seed_watermark
-- purpose: start at the newest archived row; if nothing is archived, below the oldest row
-- lock: row locks on what it changes
-- cost: one statement, which reads what is at or below the initial watermark
-- only: script
-- group: seed
INSERT INTO des_archive_config (id, archived_until, lag_days, last_updated, updated_by, fence)
SELECT 1,
       COALESCE(
           CAST(:seed_at AS timestamptz),
           (SELECT CAST({created_at} AS timestamptz)
            FROM {files}
            WHERE {archived} AND {is_time}
            ORDER BY {created_at} DESC
            LIMIT 1),
           CASE WHEN CAST(:default_at AS timestamptz) < oldest.created_at
               THEN CAST(:default_at AS timestamptz) END,
           date_trunc('day', (oldest.created_at - interval '1 microsecond') AT TIME ZONE 'UTC')
               AT TIME ZONE 'UTC',
           date_trunc('day', (now() - :lag_days * interval '1 day') AT TIME ZONE 'UTC')
               AT TIME ZONE 'UTC'),
       :lag_days,
       now(),
       :actor,
       COALESCE((SELECT CAST(CAST(details AS json) ->> 'fence' AS bigint) + 1
                 FROM des_archive_job
                 WHERE name = 'retired'), 0)
FROM (SELECT MIN(CAST({created_at} AS timestamptz)) AS created_at FROM {files} WHERE {is_time}) AS oldest;

-- step: capture_holes
-- purpose: rows at or below the initial watermark that are not archived; des-admin reads them in pages
-- lock: row locks on what it changes
-- cost: one statement, which reads what is at or below the initial watermark
-- only: script
-- group: seed
INSERT INTO des_archive_exception
    (uid_sha256, uid, created_at, location, archived, reason, attempts, first_seen, last_seen)
SELECT encode(sha256(convert_to(CAST({uid} AS text), 'UTF8')), 'hex'),
       CAST({uid} AS text), {created_at}, {location}, FALSE, 'pending_at_seed', 0, now(), now()
FROM {files}
WHERE {created_at} <= (SELECT archived_until FROM des_archive_config WHERE id = 1)
  AND {is_time} AND {archived} IS NOT TRUE
ON CONFLICT (uid_sha256, created_at) DO UPDATE SET
    location = excluded.location, archived = excluded.archived, reason = excluded.reason,
    last_error = NULL, last_seen = excluded.last_seen, next_attempt = NULL,
    resolved_at = NULL, resolution = NULL;

-- step: remember_seed
-- purpose: where the watermark began, and of which table: below, the column archived stays right
-- lock: row locks on what it changes
-- group: seed
INSERT INTO des_archive_job
    (name, state, cursor_created_at, cursor_uid, rows_done, rows_total, started_at, updated_at, details)
SELECT 'seed', 'done', archived_until, NULL, (SELECT COUNT(*) FROM des_archive_exception WHERE resolved_at IS NULL), NULL, now(), now(), CAST(:details AS text)
FROM des_archive_config
WHERE id = 1
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state, cursor_created_at = excluded.cursor_created_at,
    rows_done = excluded.rows_done, updated_at = excluded.updated_at, details = excluded.details;

-- step: adopt_archived_until
-- purpose: a table made by hand: an instant, to the microsecond; without a zone it was UTC
-- lock: ACCESS EXCLUSIVE on des_archive_config
-- only: program
ALTER TABLE des_archive_config 
    ALTER COLUMN archived_until TYPE timestamptz USING archived_until AT TIME ZONE 'UTC';

-- step: adopt_archived_until_precision
-- purpose: a table made by hand: to the microsecond
-- lock: ACCESS EXCLUSIVE on des_archive_config
-- only: program
ALTER TABLE des_archive_config ALTER COLUMN archived_until TYPE timestamptz;

-- step: adopt_last_updated
-- purpose: a table made by hand: when it was changed
-- lock: ACCESS EXCLUSIVE on des_archive_config
-- only: program
ALTER TABLE des_archive_config ADD COLUMN last_updated timestamptz DEFAULT now();

-- step: adopt_last_updated_type
-- purpose: a table made by hand: an instant, to the microsecond
-- lock: ACCESS EXCLUSIVE on des_archive_config
-- only: program
ALTER TABLE des_archive_config 
    ALTER COLUMN last_updated TYPE timestamptz USING last_updated AT TIME ZONE 'UTC';

-- step: adopt_updated_by
-- purpose: a table made by hand: who changed it
-- lock: ACCESS EXCLUSIVE on des_archive_config
-- only: program
ALTER TABLE des_archive_config ADD COLUMN updated_by varchar(100);

-- step: adopt_fence
-- purpose: a table made by hand: the fencing token against late writers
-- lock: ACCESS EXCLUSIVE on des_archive_config
-- only: program
ALTER TABLE des_archive_config ADD COLUMN fence bigint NOT NULL DEFAULT 0;

-- step: adopt_one_row
-- purpose: a table made by hand: one row only
-- lock: ACCESS EXCLUSIVE on des_archive_config
-- only: program
ALTER TABLE des_archive_config 
    ADD CONSTRAINT des_archive_config_one_row CHECK (id = 1);

-- step: adopt_lag
-- purpose: a table made by hand: no lag into the future
-- lock: ACCESS EXCLUSIVE on des_archive_config
-- only: program
ALTER TABLE des_archive_config 
    ADD CONSTRAINT des_archive_config_lag CHECK (lag_days >= 0);
