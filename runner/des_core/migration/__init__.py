"""Migrations: from per-record flags to the watermark and back, each step planned and repeatable."""
