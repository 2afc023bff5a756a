-- purpose: the proof of a transaction that its writer still may: the row stays locked until the commit
-- index: primary key
-- touches: des_archive_lease (one row)
UPDATE des_archive_lease
SET beat = beat + 1, last_commit = :commit_id
WHERE name = :name AND token = :token;
