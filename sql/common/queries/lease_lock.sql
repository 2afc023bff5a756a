-- purpose: keep a lease's row until the transaction ends, whatever is in it
-- index: primary key
-- touches: des_archive_lease (one row)
UPDATE des_archive_lease
SET beat = beat + 1
WHERE name = :name;
