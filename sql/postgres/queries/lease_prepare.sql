-- purpose: the table of leases, where no migration has made it yet
-- index: none
-- touches: des_archive_lease
CREATE TABLE IF NOT EXISTS des_archive_lease (
    name varchar(32) PRIMARY KEY,
    token varchar(32) NOT NULL,
    purpose varchar(200) NOT NULL,
    host varchar(255) NOT NULL,
    pid bigint NOT NULL,
    process varchar(200) NOT NULL,
    acquired_at timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    beat bigint NOT NULL,
    last_commit varchar(32) NOT NULL
);
