"""The demo: a whole cutover and back, on SQLite and made-up files, with the real commands."""
