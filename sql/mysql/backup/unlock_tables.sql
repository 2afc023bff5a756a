-- purpose: let the writers go on
-- index: none
-- touches: nothing
UNLOCK TABLES;
