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
