-- purpose: the exporter reads the ledger and changes nothing
GRANT SELECT ON des_admin_version, des_archive_config, des_archive_slice, des_archive_shard,
    des_archive_exception, des_archive_event, des_archive_job, des_archive_worker,
    des_archive_outcome, des_archive_damage, des_archive_lease TO {account};
