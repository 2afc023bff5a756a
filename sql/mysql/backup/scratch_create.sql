-- purpose: an empty database to restore a backup into
-- index: none
-- touches: a new database
CREATE DATABASE {scratch} {defaults};
