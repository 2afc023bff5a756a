-- purpose: the first revision of a branch is in place
-- index: primary key
-- touches: des_admin_version
INSERT INTO des_admin_version (version_num)
SELECT CAST(:revision AS varchar(32))
FROM (SELECT 1 AS one) AS once
WHERE NOT EXISTS (SELECT 1 FROM des_admin_version AS v WHERE v.version_num = :revision);
