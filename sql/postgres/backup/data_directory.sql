-- purpose: the directory of the server's data; needs pg_read_all_settings
-- index: none
-- touches: nothing
SELECT current_setting('data_directory') AS data_directory;
