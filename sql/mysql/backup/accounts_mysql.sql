-- purpose: users of the server; a role is a user that nobody can log in as
-- index: none
-- touches: mysql.user
SELECT User AS user_name, Host AS host_name, 'N' AS is_role
FROM mysql.user
ORDER BY account_locked DESC, User, Host;
