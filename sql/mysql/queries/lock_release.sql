-- purpose: give the lock back
-- index: none
-- touches: nothing
SELECT RELEASE_LOCK(CONCAT('des-admin:', LEFT(SHA2(DATABASE(), 256), 40), :suffix)) AS released;
