"""Speaking to a database: connections, the catalogue of named statements, errors, grants."""
