-- purpose: the columns of a table that the server sets to now at every UPDATE: none here
-- index: none
-- touches: nothing
SELECT NULL AS name
FROM (SELECT 1 AS one) AS none_here
WHERE 1 = 0;
