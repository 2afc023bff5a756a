-- purpose: the process that works for this session; behind a pooler, not the one that greeted us
-- index: none
-- touches: nothing
SELECT pg_backend_pid() AS backend_pid, txid_current_if_assigned() IS NOT NULL AS has_written;
