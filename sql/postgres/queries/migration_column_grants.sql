-- purpose: who was granted what on the column archived alone; NULL is everybody
-- index: none: system views
-- touches: system views
SELECT r.rolname AS grantee, g.privilege_type AS privilege, g.is_grantable
FROM pg_attribute AS a
CROSS JOIN LATERAL aclexplode(a.attacl) AS g
LEFT JOIN pg_roles AS r ON r.oid = g.grantee
WHERE a.attrelid = CAST(:table_name AS regclass) AND a.attname = :column_name
  AND NOT a.attisdropped AND (g.grantee = 0 OR r.rolname IS NOT NULL)
ORDER BY grantee, privilege;
