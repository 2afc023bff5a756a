-- Revision 0001_ledger, branch config: what was packed, what could not be, and who did what.

-- step: create_slice
-- purpose: one row per packed slice
-- lock: none on existing tables
CREATE TABLE IF NOT EXISTS des_archive_slice (
    slice_id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    run_id char(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind varchar(16) NOT NULL,
    window_start datetime(6) NOT NULL,
    window_end datetime(6) NOT NULL,
    worker int NOT NULL DEFAULT 0,
    workers int NOT NULL DEFAULT 1,
    files_in bigint NOT NULL,
    files_out bigint NOT NULL,
    files_failed bigint NOT NULL,
    files_present bigint NOT NULL,
    bytes_in bigint NOT NULL,
    bytes_out bigint NOT NULL,
    started_at datetime(6) NOT NULL,
    finished_at datetime(6) NOT NULL,
    versions mediumtext NOT NULL,
    head_event bigint NULL,
    head_hash char(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    KEY des_archive_slice_window_end (window_end),
    KEY des_archive_slice_finished_at (finished_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- step: create_shard
-- purpose: one row per shard
-- lock: none on existing tables
CREATE TABLE IF NOT EXISTS des_archive_shard (
    name varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    slice_id bigint NOT NULL,
    day date NOT NULL,
    bucket int NOT NULL,
    part int NOT NULL,
    files bigint NOT NULL,
    content_bytes bigint NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    verified_at datetime(6) NULL,
    sources_deleted_at datetime(6) NULL,
    sources_kept bigint NULL,
    KEY des_archive_shard_slice_id (slice_id),
    KEY des_archive_shard_day_bucket (day, bucket),
    KEY des_archive_shard_verified_at (verified_at, name),
    KEY des_archive_shard_sources (sources_deleted_at, name),
    CONSTRAINT des_archive_shard_slice FOREIGN KEY (slice_id) REFERENCES des_archive_slice (slice_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- step: create_exception
-- purpose: rows of files for which the watermark's answer is wrong; open where resolved_at is NULL
-- lock: none on existing tables
CREATE TABLE IF NOT EXISTS des_archive_exception (
    exception_id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    uid_sha256 char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    uid mediumtext NOT NULL,
    created_at datetime(6) NOT NULL,
    location mediumtext NULL,
    archived boolean NOT NULL,
    reason varchar(32) NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    last_error mediumtext NULL,
    first_seen datetime(6) NOT NULL,
    last_seen datetime(6) NOT NULL,
    next_attempt datetime(6) NULL,
    resolved_at datetime(6) NULL,
    resolution varchar(32) NULL,
    UNIQUE KEY des_archive_exception_key (uid_sha256, created_at),
    KEY des_archive_exception_open (resolved_at, created_at),
    KEY des_archive_exception_held (resolution, created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- step: create_event
-- purpose: the audit trail; prev_hash is unique, so that it cannot fork
-- lock: none on existing tables
CREATE TABLE IF NOT EXISTS des_archive_event (
    event_id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at datetime(6) NOT NULL,
    actor varchar(200) NOT NULL,
    action varchar(64) NOT NULL,
    from_value mediumtext NULL,
    to_value mediumtext NULL,
    reason mediumtext NULL,
    details mediumtext NULL,
    prev_hash char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    hash char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    UNIQUE KEY des_archive_event_link (prev_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- step: create_worker
-- purpose: how far each sharded worker has packed
-- lock: none on existing tables
CREATE TABLE IF NOT EXISTS des_archive_worker (
    worker_id int NOT NULL,
    workers_total int NOT NULL,
    n_bits int NOT NULL,
    packed_until datetime(6) NOT NULL,
    fence bigint NOT NULL,
    updated_at datetime(6) NOT NULL,
    PRIMARY KEY (worker_id, workers_total)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- step: create_job
-- purpose: long jobs in chunks, and how far they have come
-- lock: none on existing tables
CREATE TABLE IF NOT EXISTS des_archive_job (
    name varchar(64) NOT NULL PRIMARY KEY,
    state varchar(16) NOT NULL,
    cursor_created_at datetime(6) NULL,
    cursor_uid mediumtext NULL,
    rows_done bigint NOT NULL DEFAULT 0,
    rows_total bigint NULL,
    started_at datetime(6) NOT NULL,
    updated_at datetime(6) NOT NULL,
    details mediumtext NULL,
    CONSTRAINT des_archive_job_state CHECK (state IN ('running', 'paused', 'done'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- step: create_outcome
-- purpose: how each job ended, the newest of each kind
-- lock: none on existing tables
CREATE TABLE IF NOT EXISTS des_archive_outcome (
    outcome_id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    job varchar(32) NOT NULL,
    worker int NOT NULL DEFAULT 0,
    actor varchar(200) NOT NULL,
    started_at datetime(6) NOT NULL,
    ended_at datetime(6) NOT NULL,
    exit_code int NOT NULL,
    files bigint NOT NULL,
    message mediumtext NULL,
    hint mediumtext NULL,
    KEY des_archive_outcome_job (job, outcome_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- step: create_damage
-- purpose: shards and manifests that a verification found damaged, until one finds them sound
-- lock: none on existing tables
CREATE TABLE IF NOT EXISTS des_archive_damage (
    name varchar(200) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    verdict varchar(16) NOT NULL,
    problem mediumtext NULL,
    found_at datetime(6) NOT NULL,
    seen_at datetime(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- step: create_lease
-- purpose: who may write now, and until when
-- lock: none on existing tables
CREATE TABLE IF NOT EXISTS des_archive_lease (
    name varchar(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    token varchar(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    purpose varchar(200) NOT NULL,
    host varchar(255) NOT NULL,
    pid bigint NOT NULL,
    process varchar(200) NOT NULL,
    acquired_at datetime(6) NOT NULL,
    heartbeat_at datetime(6) NOT NULL,
    expires_at datetime(6) NOT NULL,
    beat bigint NOT NULL,
    last_commit varchar(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
