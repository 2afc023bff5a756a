-- purpose: hand this transaction's snapshot to pg_dump, so that both see the same rows
-- index: none
-- touches: nothing
SELECT pg_export_snapshot() AS snapshot;
