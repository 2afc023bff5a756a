"""The configuration: read once from file, environment and flags into frozen objects."""
