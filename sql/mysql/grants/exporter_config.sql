-- purpose: the exporter reads the ledger and changes nothing
GRANT SELECT ON des_admin_version TO {account};
GRANT SELECT ON des_archive_config TO {account};
GRANT SELECT ON des_archive_slice TO {account};
GRANT SELECT ON des_archive_shard TO {account};
GRANT SELECT ON des_archive_exception TO {account};
GRANT SELECT ON des_archive_event TO {account};
GRANT SELECT ON des_archive_job TO {account};
GRANT SELECT ON des_archive_worker TO {account};
GRANT SELECT ON des_archive_outcome TO {account};
GRANT SELECT ON des_archive_damage TO {account};
GRANT SELECT ON des_archive_lease TO {account};
