"""Statements of a revision, run one by one without making others wait, or written as a script."""
