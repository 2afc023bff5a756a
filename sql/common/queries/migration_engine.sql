-- purpose: the storage engine of files, where it knows no transactions: none here
-- index: none
-- touches: nothing
SELECT NULL AS engine
FROM (SELECT 1 AS one) AS none_here
WHERE 1 = 0;
