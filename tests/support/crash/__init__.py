"""Killing, losing and failing at chosen steps, and what must be true afterwards."""
