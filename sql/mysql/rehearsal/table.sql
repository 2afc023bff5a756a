-- purpose: files anew in an empty database, with its indexes and generated columns
-- index: none
-- touches: a new table
CREATE TABLE {scratch}.{files_table} LIKE {files};
