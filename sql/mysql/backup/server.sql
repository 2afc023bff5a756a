-- purpose: which server this is; server_uuid is MySQL's, server_uid MariaDB's
-- index: none
-- touches: server variables
SHOW GLOBAL VARIABLES
WHERE Variable_name IN ('version', 'version_comment', 'hostname', 'port', 'datadir',
                        'server_uuid', 'server_uid', 'server_id');
