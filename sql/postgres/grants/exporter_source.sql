-- purpose: the exporter counts what waits in files
GRANT USAGE ON SCHEMA {files_schema} TO {account};
GRANT SELECT ON {files} TO {account};
