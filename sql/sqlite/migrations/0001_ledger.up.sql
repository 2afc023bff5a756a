-- Revision 0001_ledger, branch config: what was packed, what could not be, and who did what.

-- step: create_slice
-- purpose: one row per packed slice
-- lock: the database, for a moment
CREATE TABLE IF NOT EXISTS des_archive_slice (
    slice_id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    window_start TEXT NOT NULL,
    window_end TEXT NOT NULL,
    worker INTEGER NOT NULL DEFAULT 0,
    workers INTEGER NOT NULL DEFAULT 1,
    files_in INTEGER NOT NULL,
    files_out INTEGER NOT NULL,
    files_failed INTEGER NOT NULL,
    files_present INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT NOT NULL,
    versions TEXT NOT NULL,
    head_event INTEGER,
    head_hash TEXT
);

-- step: index_slice_window_end
-- purpose: slices by the end of their window
-- lock: the database, for a moment
CREATE INDEX IF NOT EXISTS des_archive_slice_window_end ON des_archive_slice (window_end);

-- step: index_slice_finished_at
-- purpose: slices by the time they were packed
-- lock: the database, for a moment
CREATE INDEX IF NOT EXISTS des_archive_slice_finished_at ON des_archive_slice (finished_at);

-- step: create_shard
-- purpose: one row per shard
-- lock: the database, for a moment
CREATE TABLE IF NOT EXISTS des_archive_shard (
    name TEXT PRIMARY KEY,
    slice_id INTEGER NOT NULL REFERENCES des_archive_slice (slice_id),
    day TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    part INTEGER NOT NULL,
    files INTEGER NOT NULL,
    content_bytes INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    verified_at TEXT,
    sources_deleted_at TEXT,
    sources_kept INTEGER
);

-- step: index_shard_slice_id
-- purpose: the shards of a slice
-- lock: the database, for a moment
CREATE INDEX IF NOT EXISTS des_archive_shard_slice_id ON des_archive_shard (slice_id);

-- step: index_shard_day_bucket
-- purpose: shards by day and bucket
-- lock: the database, for a moment
CREATE INDEX IF NOT EXISTS des_archive_shard_day_bucket ON des_archive_shard (day, bucket);

-- step: index_shard_verified_at
-- purpose: shards by their last verification
-- lock: the database, for a moment
CREATE INDEX IF NOT EXISTS des_archive_shard_verified_at
    ON des_archive_shard (verified_at, name);

-- step: index_shard_sources
-- purpose: shards whose sources were not deleted yet, by name
-- lock: the database, for a moment
CREATE INDEX IF NOT EXISTS des_archive_shard_sources
    ON des_archive_shard (sources_deleted_at, name);

-- step: create_exception
-- purpose: rows of files for which the watermark's answer is wrong; open where resolved_at is NULL
-- lock: the database, for a moment
CREATE TABLE IF NOT EXISTS des_archive_exception (
    exception_id INTEGER PRIMARY KEY,
    uid_sha256 TEXT NOT NULL,
    uid TEXT NOT NULL,
    created_at TEXT NOT NULL,
    location TEXT,
    archived INTEGER NOT NULL CHECK (archived IN (0, 1)),
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    first_seen TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    next_attempt TEXT,
    resolved_at TEXT,
    resolution TEXT,
    CONSTRAINT des_archive_exception_key UNIQUE (uid_sha256, created_at)
);

-- step: index_exception_open
-- purpose: open exceptions by created_at
-- lock: the database, for a moment
CREATE INDEX IF NOT EXISTS des_archive_exception_open
    ON des_archive_exception (created_at) WHERE resolved_at IS NULL;

-- step: index_exception_held
-- purpose: exceptions that sharded workers hold back until the watermark has come to them
-- lock: the database, for a moment
CREATE INDEX IF NOT EXISTS des_archive_exception_held
    ON des_archive_exception (created_at) WHERE resolution = 'awaits_watermark';

-- step: create_event
-- purpose: the audit trail; prev_hash is unique, so that it cannot fork
-- lock: the database, for a moment
CREATE TABLE IF NOT EXISTS des_archive_event (
    event_id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    from_value TEXT,
    to_value TEXT,
    reason TEXT,
    details TEXT,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    CONSTRAINT des_archive_event_link UNIQUE (prev_hash)
);

-- step: create_worker
-- purpose: how far each sharded worker has packed
-- lock: the database, for a moment
CREATE TABLE IF NOT EXISTS des_archive_worker (
    worker_id INTEGER NOT NULL,
    workers_total INTEGER NOT NULL,
    n_bits INTEGER NOT NULL,
    packed_until TEXT NOT NULL,
    fence INTEGER NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (worker_id, workers_total)
);

-- step: create_job
-- purpose: long jobs in chunks, and how far they have come
-- lock: the database, for a moment
CREATE TABLE IF NOT EXISTS des_archive_job (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'done')),
    cursor_created_at TEXT,
    cursor_uid TEXT,
    rows_done INTEGER NOT NULL DEFAULT 0,
    rows_total INTEGER,
    started_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    details TEXT
);

-- step: create_outcome
-- purpose: how each job ended, the newest of each kind
-- lock: the database, for a moment
CREATE TABLE IF NOT EXISTS des_archive_outcome (
    outcome_id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    worker INTEGER NOT NULL DEFAULT 0,
    actor TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT NOT NULL,
    exit_code INTEGER NOT NULL,
    files INTEGER NOT NULL,
    message TEXT,
    hint TEXT
);

-- step: index_outcome_job
-- purpose: the outcomes of one kind of job
-- lock: the database, for a moment
CREATE INDEX IF NOT EXISTS des_archive_outcome_job ON des_archive_outcome (job, outcome_id);

-- step: create_damage
-- purpose: shards and manifests that a verification found damaged, until one finds them sound
-- lock: the database, for a moment
CREATE TABLE IF NOT EXISTS des_archive_damage (
    name TEXT PRIMARY KEY,
    verdict TEXT NOT NULL,
    problem TEXT,
    found_at TEXT NOT NULL,
    seen_at TEXT NOT NULL
);

-- step: create_lease
-- purpose: who may write now, and until when
-- lock: the database, for a moment
CREATE TABLE IF NOT EXISTS des_archive_lease (
    name TEXT NOT NULL PRIMARY KEY,
    token TEXT NOT NULL,
    purpose TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process TEXT NOT NULL,
    acquired_at TEXT NOT NULL,
    heartbeat_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    beat INTEGER NOT NULL,
    last_commit TEXT NOT NULL
);
