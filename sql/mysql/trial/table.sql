-- A change of the table is tried on an empty one of the same shape: what the server refuses there, it
-- refuses before anything has changed.

-- step: create
-- purpose: an empty table of the same shape, on which each statement is tried first
-- lock: metadata lock, shared, for a moment
CREATE TABLE {files} LIKE {model};

-- step: remove
-- purpose: the table of the trial
-- lock: none on existing tables
DROP TABLE IF EXISTS {files};
