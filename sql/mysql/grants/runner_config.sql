-- purpose: the runner moves the watermark, adds to the ledger and keeps exceptions; the trail it can only extend
GRANT SELECT ON des_admin_version TO {account};
GRANT SELECT, UPDATE ON des_archive_config TO {account};
GRANT SELECT, INSERT ON des_archive_slice TO {account};
GRANT SELECT, INSERT ON des_archive_event TO {account};
GRANT SELECT, INSERT, UPDATE ON des_archive_shard TO {account};
GRANT SELECT, INSERT, UPDATE ON des_archive_exception TO {account};
GRANT SELECT, INSERT, UPDATE ON des_archive_lease TO {account};
GRANT SELECT, INSERT, UPDATE ON des_archive_job TO {account};
GRANT SELECT, INSERT, UPDATE, DELETE ON des_archive_worker TO {account};
GRANT SELECT, INSERT, UPDATE, DELETE ON des_archive_damage TO {account};
GRANT SELECT, INSERT, DELETE ON des_archive_outcome TO {account};
