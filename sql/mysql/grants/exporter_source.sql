-- purpose: the exporter counts what waits in files, and reads no locations; REFERENCES shows it which columns there are
GRANT SELECT ({counted_columns}) ON {files} TO {account};
GRANT REFERENCES ON {files} TO {account};
