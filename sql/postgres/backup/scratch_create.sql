-- purpose: an empty database to restore a backup into, dropped right after the check
-- index: none
-- touches: a new database
CREATE DATABASE {scratch} TEMPLATE template0 ENCODING {encoding} LC_COLLATE 'C' LC_CTYPE 'C';
