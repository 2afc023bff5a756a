-- purpose: keep a lease's row until the transaction ends, if it is still as it was seen
-- index: primary key
-- touches: des_archive_lease (one row)
UPDATE des_archive_lease
SET beat = beat + 1
WHERE name = :name AND beat = :beat;
