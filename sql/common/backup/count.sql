-- purpose: how many rows a table has, in the snapshot of the dump
-- index: any
-- touches: one of our tables
SELECT COUNT(*) FROM {table};
