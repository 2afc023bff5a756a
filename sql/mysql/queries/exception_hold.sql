-- purpose: hold an exception back until the watermark has come to it
-- index: unique (uid_sha256, created_at)
-- touches: des_archive_exception
INSERT INTO des_archive_exception
    (uid_sha256, uid, created_at, location, archived, reason, attempts, last_error,
     first_seen, last_seen, next_attempt, resolved_at, resolution)
VALUES
    (:uid_sha256, :uid, :created_at, :location, :archived, :reason, :attempts, :error,
     :now, :now, :next_attempt, :now, 'awaits_watermark')
ON DUPLICATE KEY UPDATE
    location = VALUES(location),
    archived = VALUES(archived),
    reason = VALUES(reason),
    attempts = attempts + VALUES(attempts),
    last_error = VALUES(last_error),
    last_seen = VALUES(last_seen),
    next_attempt = VALUES(next_attempt),
    resolved_at = VALUES(resolved_at),
    resolution = VALUES(resolution);
