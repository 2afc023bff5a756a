-- purpose: whether the lock is still ours
-- index: none
-- touches: nothing
SELECT COALESCE(IS_USED_LOCK(CONCAT('des-admin:', SHA1(DATABASE()), :suffix)) = CONNECTION_ID(), 0) AS held;
