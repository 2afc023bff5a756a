-- purpose: on SQLite, the table that holds the lease
-- index: primary key
-- touches: des_archive_lock
SET SESSION wait_timeout = 31536000;
