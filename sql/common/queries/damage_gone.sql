-- purpose: a shard is sound, or was set aside
-- index: primary key
-- touches: des_archive_damage
DELETE FROM des_archive_damage
WHERE name = :name;
