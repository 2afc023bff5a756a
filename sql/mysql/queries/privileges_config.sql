-- purpose: whether this user may make and write our tables; who has a role is not looked into
-- index: none: system views
-- touches: system views
SELECT wanted.name AS name,
       EXISTS (
           SELECT 1 FROM information_schema.user_privileges AS u
           WHERE u.grantee = wanted.me AND u.privilege_type = wanted.privilege
       ) OR EXISTS (
           SELECT 1 FROM information_schema.schema_privileges AS s
           WHERE s.grantee = wanted.me AND s.privilege_type = wanted.privilege
             AND DATABASE() LIKE s.table_schema
       ) OR EXISTS (
           SELECT 1 FROM information_schema.table_privileges AS t
           WHERE t.grantee = wanted.me AND t.privilege_type = wanted.privilege
             AND t.table_schema = DATABASE() AND t.table_name = 'des_archive_config'
       ) OR EXISTS (SELECT 1 FROM information_schema.applicable_roles) AS is_held
FROM (
    SELECT 'create tables' AS name, 'CREATE' AS privilege,
           CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''') AS me
    UNION ALL
    SELECT 'write des_archive_config', 'INSERT',
           CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')
    UNION ALL
    SELECT 'write des_archive_config', 'UPDATE',
           CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')
) AS wanted;
