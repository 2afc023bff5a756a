-- purpose: on SQLite, the table that holds the lease
-- index: primary key
-- touches: des_archive_lock
SELECT set_config('application_name', :holder, false) AS application_name;
