"""The checks before the column archived goes, and the drop tried before it counts."""
