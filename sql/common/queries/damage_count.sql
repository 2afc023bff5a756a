-- purpose: how many shards and manifests are known to be damaged
-- index: none: a row for each of them
-- touches: des_archive_damage
SELECT COUNT(*) AS files, MIN(found_at) AS oldest
FROM des_archive_damage;
