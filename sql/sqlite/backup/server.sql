-- purpose: the version of the library
-- index: none
-- touches: nothing
SELECT sqlite_version() AS version;
