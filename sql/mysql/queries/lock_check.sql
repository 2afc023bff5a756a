-- purpose: whether the lock is still ours
-- index: none
-- touches: nothing
SELECT COALESCE(IS_USED_LOCK(CONCAT('des-admin:', LEFT(SHA2(DATABASE(), 256), 40), :suffix)) = CONNECTION_ID(), 0) AS held;
