-- purpose: remember what is wrong with a shard; when it was first found stays
-- index: primary key
-- touches: des_archive_damage
INSERT INTO des_archive_damage (name, verdict, problem, found_at, seen_at)
VALUES (:name, :verdict, :problem, :now, :now)
ON CONFLICT (name) DO UPDATE SET
    verdict = excluded.verdict, problem = excluded.problem, seen_at = excluded.seen_at;
