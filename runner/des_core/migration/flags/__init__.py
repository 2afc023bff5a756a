"""The formula written into the column archived, in chunks that nobody has to wait for."""
