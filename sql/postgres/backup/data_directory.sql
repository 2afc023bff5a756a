-- purpose: where the server keeps its data; needs pg_read_all_settings
-- index: none
-- touches: nothing
SELECT current_setting('data_directory') AS data_directory;
