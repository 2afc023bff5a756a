-- purpose: users and roles of the server, roles first
-- index: none
-- touches: mysql.user
SELECT User AS user_name, Host AS host_name, is_role
FROM mysql.user
ORDER BY is_role DESC, User, Host;
