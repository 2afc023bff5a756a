-- purpose: the revisions that this database is at
-- index: none: a row or two
-- touches: des_admin_version
SELECT version_num FROM des_admin_version;
