"""Back from the archive: files by uid, verification, comparison with source and ledger."""
