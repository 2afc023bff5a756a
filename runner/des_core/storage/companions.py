"""Shards of a storage, with what lies beside them."""

from __future__ import annotations

from des_core.basics.errors import StorageError
from des_core.shard_io import ShardReader, open_shard
from des_core.shard_io.blobs import Blob
from des_core.shard_io.companions import Companions
from des_core.storage.directory import Storage


def companions_of(storage: Storage) -> Companions:
    """Big files and dictionaries, for readers of its shards."""
    return Companions(storage.open, storage.list_names)


def listed_blob(storage: Storage, name: str) -> Blob:
    """What a listing showed; StorageError where it is gone by now, or was a link to nothing."""
    try:
        return storage.open(name)
    except FileNotFoundError as exc:
        raise StorageError(
            "a shard that was listed is gone",
            hint="did somebody repair the archive meanwhile? Run the same command again; a name "
            "that leads nowhere must be taken away",
            shard=name,
        ) from exc


def open_listed(storage: Storage, name: str, companions: Companions) -> ShardReader:
    """A reader of a shard that a listing showed."""
    return open_shard(listed_blob(storage, name), companions)
