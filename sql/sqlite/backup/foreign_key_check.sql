-- purpose: rows whose parent is missing
-- index: those of the parents
-- touches: tables with foreign keys
PRAGMA foreign_key_check;
