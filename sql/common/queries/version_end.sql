-- purpose: the first revision of a branch is undone
-- index: primary key
-- touches: des_admin_version
DELETE FROM des_admin_version
WHERE version_num = :revision;
