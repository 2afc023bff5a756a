-- purpose: a dump of chosen tables does not bring the schema that they are in
-- index: none
-- touches: the scratch database
CREATE SCHEMA IF NOT EXISTS {schema};
