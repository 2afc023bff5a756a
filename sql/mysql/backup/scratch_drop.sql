-- purpose: the scratch database goes, or before a restore the one that was lost
-- index: none
-- touches: the scratch database
DROP DATABASE IF EXISTS {scratch};
