-- purpose: become the only writer, or learn at once that somebody else is
-- index: none
-- touches: nothing
SELECT GET_LOCK(CONCAT('des-admin:', LEFT(SHA2(DATABASE(), 256), 40), :suffix), 0) AS held;
