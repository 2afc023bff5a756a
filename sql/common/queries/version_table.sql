-- purpose: which revision this database is at
-- index: none
-- touches: nothing
CREATE TABLE IF NOT EXISTS des_admin_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT des_admin_version_pkc PRIMARY KEY (version_num)
);
