-- purpose: how far the replicas of this server are behind, in seconds
-- index: none: system views
-- touches: system views
SELECT COALESCE(MAX(EXTRACT(EPOCH FROM replay_lag)), 0) AS lag_s
FROM pg_stat_replication;
