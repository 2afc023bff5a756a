"""Backups that are checked: made with a sealed manifest beside them, read back at four levels."""
