-- purpose: how far the replicas of this server are behind, in seconds; how many hide it from this user
-- index: none: system views
-- touches: system views
SELECT COALESCE(MAX(EXTRACT(EPOCH FROM replay_lag)), 0) AS lag_s,
       COUNT(*) FILTER (WHERE state IS NULL) AS hidden
FROM pg_stat_replication;
