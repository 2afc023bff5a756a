-- Revision 0004_drop_archived back: the column again, at a cost that grows with what lies above the
-- watermark. Old rows read TRUE from the catalogue; new rows get FALSE. Until the last step is
-- done, the per-record packer finds too little to do, which is safe.

-- step: add_archived
-- purpose: the column, TRUE in every row that is there
-- lock: ACCESS EXCLUSIVE, for a moment
-- cost: catalogue only
-- group: column
ALTER TABLE {files} ADD COLUMN {archived} boolean NOT NULL DEFAULT true;

-- step: default_false
-- purpose: rows that come from here on are not archived
-- lock: ACCESS EXCLUSIVE, for a moment, in the same transaction
-- cost: catalogue only
-- group: column
ALTER TABLE {files} ALTER COLUMN {archived} SET DEFAULT false;

-- step: write_tail
-- purpose: what lies above the watermark is not archived
-- lock: row locks on what it changes
-- cost: writes the rows above the watermark; des-admin does it in chunks
-- only: together
UPDATE {files}
SET {archived} = FALSE
WHERE {archived} AND (NOT {is_time} OR {created_at} > (SELECT archived_until FROM des_archive_config WHERE id = 1));

-- step: write_exceptions
-- purpose: nor are the open exceptions below it
-- lock: row locks on what it changes
-- cost: writes the rows of the open exceptions
-- only: together
UPDATE {files}
SET {archived} = e.archived
FROM des_archive_exception AS e
WHERE e.resolved_at IS NULL AND e.archived <> {files}.{archived}
  AND e.created_at = {files}.{created_at} AND e.uid = CAST({files}.{uid} AS text);

-- step: write_tail_at
-- purpose: the same where the watermark lives in another database; the exceptions follow one by one
-- lock: row locks on what it changes
-- cost: writes the rows above the watermark; des-admin does it in chunks
-- only: apart
UPDATE {files}
SET {archived} = FALSE
WHERE {archived} AND (NOT {is_time} OR {created_at} > :watermark);

-- step: restore_nullability
-- purpose: NULL is allowed, as it was
-- lock: ACCESS EXCLUSIVE, for a moment
-- cost: catalogue only
-- group: restore
ALTER TABLE {files} ALTER COLUMN {archived} DROP NOT NULL;

-- step: restore_default
-- purpose: the default that the column had
-- lock: ACCESS EXCLUSIVE, for a moment
-- cost: catalogue only
-- group: restore
ALTER TABLE {files} ALTER COLUMN {archived} {archived_default};

-- step: restore_statistics
-- purpose: the statistics target that the column had
-- lock: SHARE UPDATE EXCLUSIVE
-- cost: catalogue only
-- group: restore
ALTER TABLE {files} ALTER COLUMN {archived} SET STATISTICS {archived_statistics};

-- step: restore_options
-- purpose: the options that the column had
-- lock: SHARE UPDATE EXCLUSIVE
-- cost: catalogue only
-- group: restore
ALTER TABLE {files} ALTER COLUMN {archived} SET ({archived_options});

-- step: restore_comment
-- purpose: the comment on the column
-- lock: SHARE UPDATE EXCLUSIVE
-- cost: catalogue only
-- group: restore
COMMENT ON COLUMN {files}.{archived} IS {archived_comment};

-- step: restore_grants
-- purpose: what others might do with the column alone
-- lock: none on rows
-- cost: catalogue only
-- group: restore
GRANT {archived_privilege} ({archived}) ON {files} TO {archived_grantee}{archived_grant_option};
