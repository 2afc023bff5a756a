"""Who may write: the lock of an archive and what keeps it."""
