-- purpose: whole rows of blocks chosen at random, if no index leads to the rows of a day
-- index: none: reads the chosen blocks only
-- touches: files (some blocks)
SELECT * FROM {files} TABLESAMPLE SYSTEM (:percent) LIMIT :row_limit;
