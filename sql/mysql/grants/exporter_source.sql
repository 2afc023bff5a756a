-- purpose: the exporter counts what waits in files
GRANT SELECT ON {files} TO {account};
