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

-- step: remember_seed
-- purpose: where the watermark began: below, the column archived stays right by itself
-- lock: row locks on what it changes
INSERT INTO des_archive_job
    (name, state, cursor_created_at, cursor_uid, rows_done, rows_total, started_at, updated_at, details)
SELECT 'seed', 'done', archived_until, NULL, (SELECT COUNT(*) FROM des_archive_exception WHERE resolved_at IS NULL), NULL, now(), now(), NULL
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
-- purpose: a table made by hand: the fence against late writers
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
