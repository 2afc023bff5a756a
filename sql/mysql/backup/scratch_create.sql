-- purpose: an empty database to restore a backup into, dropped right after the check
-- index: none
-- touches: a new database
CREATE DATABASE {scratch} CHARACTER SET utf8mb4;
