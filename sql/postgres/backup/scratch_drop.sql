-- purpose: the scratch database goes, with whoever is still connected to it
-- index: none
-- touches: the scratch database
DROP DATABASE IF EXISTS {scratch} WITH (FORCE);
