-- purpose: the next revision of a branch is in place
-- index: primary key
-- touches: des_admin_version
UPDATE des_admin_version
SET version_num = :revision
WHERE version_num = :previous;
