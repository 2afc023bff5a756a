"""Backups that other tools made, checked through what those tools themselves answer."""
