-- purpose: a lease ends: given back, broken, or its holder is gone
-- index: primary key
-- touches: des_archive_lease (one row)
UPDATE des_archive_lease
SET token = '', expires_at = :now, beat = beat + 1
WHERE name = :name AND token = :token;
