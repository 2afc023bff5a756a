-- purpose: who holds the lock, in words
-- index: none: system views
-- touches: system views
SELECT CONCAT('connection ', p.id, ', user ', p.user, ', from ', p.host, ', for ', p.time, ' s') AS holder
FROM information_schema.processlist AS p
WHERE p.id = IS_USED_LOCK(CONCAT('des-admin:', LEFT(SHA2(DATABASE(), 256), 40), :suffix));
