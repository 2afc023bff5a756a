-- purpose: what this user may do with the application's table; who has a role is not looked into
-- index: none: system views
-- touches: system views
SELECT wanted.name AS name,
       EXISTS (
           SELECT 1 FROM information_schema.user_privileges AS u
           WHERE u.grantee = wanted.me AND u.privilege_type = wanted.privilege
       ) OR EXISTS (
           SELECT 1 FROM information_schema.schema_privileges AS s
           WHERE s.grantee = wanted.me AND s.privilege_type = wanted.privilege
             AND COALESCE(:schema_name, DATABASE()) LIKE s.table_schema
       ) OR EXISTS (
           SELECT 1 FROM information_schema.table_privileges AS t
           WHERE t.grantee = wanted.me AND t.privilege_type = wanted.privilege
             AND t.table_schema = COALESCE(:schema_name, DATABASE()) AND t.table_name = :table_only
       ) OR EXISTS (SELECT 1 FROM information_schema.applicable_roles) AS is_held
FROM (
    SELECT 'read the table' AS name, 'SELECT' AS privilege,
           CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''') AS me
    UNION ALL
    SELECT 'change its columns', 'ALTER',
           CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')
    UNION ALL
    SELECT 'change its indexes', 'INDEX',
           CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')
) AS wanted;
