-- purpose: the tables in the file
-- index: none
-- touches: sqlite_master
SELECT name FROM sqlite_master WHERE type = 'table';
