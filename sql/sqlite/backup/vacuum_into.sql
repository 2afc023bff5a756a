-- purpose: a whole and compact copy of the database as it is now, into a new file
-- index: none
-- touches: reads everything
VACUUM INTO :path;
