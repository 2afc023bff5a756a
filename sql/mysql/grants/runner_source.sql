-- purpose: the runner reads files, and sees how long others' transactions have been open
GRANT SELECT ON {files} TO {account};
GRANT PROCESS ON *.* TO {account};
