-- purpose: which server and database this is
-- index: none
-- touches: system views
SELECT current_setting('server_version') AS version,
       current_database() AS database_name,
       (SELECT CAST(system_identifier AS text) FROM pg_control_system()) AS server_id,
       pg_database_size(current_database()) AS size_bytes,
       current_setting('server_encoding') AS encoding;
