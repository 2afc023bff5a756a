-- purpose: the runner moves the watermark, adds to the ledger and keeps exceptions; the trail it can only extend
GRANT SELECT ON des_admin_version TO {account};
GRANT SELECT, UPDATE ON des_archive_config TO {account};
GRANT SELECT, INSERT ON des_archive_slice, des_archive_event TO {account};
GRANT SELECT, INSERT, UPDATE ON des_archive_shard, des_archive_exception, des_archive_job,
    des_archive_lease TO {account};
GRANT SELECT, INSERT, UPDATE, DELETE ON des_archive_worker, des_archive_damage TO {account};
GRANT SELECT, INSERT, DELETE ON des_archive_outcome TO {account};
