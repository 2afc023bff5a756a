-- purpose: hold an exception back until the watermark has come to it
-- index: unique (uid_sha256, created_at)
-- touches: des_archive_exception
INSERT INTO des_archive_exception
    (uid_sha256, uid, created_at, location, archived, reason, attempts, last_error,
     first_seen, last_seen, next_attempt, resolved_at, resolution)
VALUES
    (:uid_sha256, :uid, :created_at, :location, :archived, :reason, :attempts, :error,
     :now, :now, :next_attempt, :now, 'awaits_watermark')
ON CONFLICT (uid_sha256, created_at) DO UPDATE SET
    location = excluded.location,
    archived = excluded.archived,
    reason = excluded.reason,
    attempts = des_archive_exception.attempts + excluded.attempts,
    last_error = excluded.last_error,
    last_seen = excluded.last_seen,
    next_attempt = excluded.next_attempt,
    resolved_at = excluded.resolved_at,
    resolution = excluded.resolution;
