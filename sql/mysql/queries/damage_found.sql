-- purpose: remember what is wrong with a shard; when it was first found stays
-- index: primary key
-- touches: des_archive_damage
INSERT INTO des_archive_damage (name, verdict, problem, found_at, seen_at)
VALUES (:name, :verdict, :problem, :now, :now)
ON DUPLICATE KEY UPDATE
    verdict = VALUES(verdict), problem = VALUES(problem), seen_at = VALUES(seen_at);
