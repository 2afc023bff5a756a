"""A small copy of the archive's database, on which a migration is tried before it is needed."""
