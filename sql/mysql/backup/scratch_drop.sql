-- purpose: the scratch database goes
-- index: none
-- touches: the scratch database
DROP DATABASE IF EXISTS {scratch};
