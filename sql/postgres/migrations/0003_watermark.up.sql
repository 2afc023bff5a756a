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
