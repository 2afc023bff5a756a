"""Shards made by hand, good and bad, and a second reader of them."""
