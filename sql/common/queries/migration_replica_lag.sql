-- purpose: the same shape as on PostgreSQL; this server does not know how far replicas are behind
-- index: none
-- touches: nothing
SELECT 0 AS lag_s, 0 AS hidden;
