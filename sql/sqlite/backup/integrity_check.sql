-- purpose: every page and every index, read and compared
-- index: all of them
-- touches: everything
PRAGMA integrity_check(20);
