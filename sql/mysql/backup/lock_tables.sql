-- purpose: hold writers off for the moment in which dump and counting take their snapshots
-- index: none
-- touches: the tables that are counted
LOCK TABLES {locked_tables};
