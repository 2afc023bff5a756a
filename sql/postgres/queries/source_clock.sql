-- purpose: the server's time, and the start of the oldest transaction still open on the source
-- index: none: system views
-- touches: system views
SELECT clock_timestamp() AS now,
       LEAST(
           (SELECT MIN(xact_start) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
              AND backend_type = 'client backend'),
           (SELECT MIN(prepared) FROM pg_prepared_xacts WHERE database = current_database())
       ) AS oldest_transaction,
       (SELECT COUNT(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
          AND (backend_type IS NULL OR state = 'disabled') -- of others, or track_activities = off
       ) AS hidden_sessions;
