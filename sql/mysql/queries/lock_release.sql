-- purpose: give the lock back
-- index: none
-- touches: nothing
SELECT RELEASE_LOCK(CONCAT('des-admin:', SHA1(DATABASE()), :suffix)) AS released;
