"""Buckets on loopback, and tables whose locations are in them."""
