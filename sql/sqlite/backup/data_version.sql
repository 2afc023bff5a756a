-- purpose: a number that changes when another connection commits
-- index: none
-- touches: nothing
PRAGMA data_version;
