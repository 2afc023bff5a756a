-- purpose: take a lease whose row this transaction keeps
-- index: primary key
-- touches: des_archive_lease (one row)
UPDATE des_archive_lease
SET token = :token, purpose = :purpose, host = :host, pid = :pid, process = :process,
    acquired_at = :now, heartbeat_at = :now, expires_at = :expires_at
WHERE name = :name;
