-- purpose: become the only writer, or learn at once that somebody else is
-- index: none
-- touches: nothing
SELECT GET_LOCK(CONCAT('des-admin:', SHA1(DATABASE()), :suffix), 0) AS held;
