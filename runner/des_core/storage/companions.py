"""What lies beside the shards of a storage."""

from __future__ import annotations

from des_core.shard_io.companions import Companions
from des_core.storage.directory import Storage


def companions_of(storage: Storage) -> Companions:
    """Big files and dictionaries, for readers of its shards."""
    return Companions(storage.open, storage.list_names)
