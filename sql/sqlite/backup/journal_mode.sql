-- purpose: whether readers hold off writers (they do not in wal)
-- index: none
-- touches: nothing
PRAGMA journal_mode;
