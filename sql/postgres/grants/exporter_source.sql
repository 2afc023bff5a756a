-- purpose: the exporter counts what waits in files, and reads no locations
GRANT USAGE ON SCHEMA {files_schema} TO {account};
GRANT SELECT ({counted_columns}) ON {files} TO {account};
