-- purpose: what was found damaged, by name
-- index: primary key
-- touches: des_archive_damage
SELECT name, verdict, problem, found_at, seen_at
FROM des_archive_damage
ORDER BY found_at, name
LIMIT :page_size;
