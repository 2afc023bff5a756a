-- purpose: a lease that nobody holds yet
-- index: primary key
-- touches: des_archive_lease
INSERT INTO des_archive_lease
    (name, token, purpose, host, pid, process, acquired_at, heartbeat_at, expires_at, beat, last_commit)
VALUES (:name, '', '', '', 0, '', :now, :now, :now, 0, '');
