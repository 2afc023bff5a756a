-- purpose: the table of leases, where no migration has made it yet
-- index: none
-- touches: des_archive_lease
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
