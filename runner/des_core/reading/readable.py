"""Files of the archive for readers: one that cannot be read is damage of that one, not the end.

Permissions, a bad sector, something that is no file, an object that is denied or in cold storage:
the shards beside it can be read. A store that does not answer, or handles that ran out, end it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from des_core.basics.errors import DamagedShard, UnreadableFile
from des_core.shard_io.blobs import Blob
from des_core.storage.answers import ObjectRefused
from des_core.storage.directory import Storage


def open_readable(storage: Storage, name: str) -> Blob:
    """As `storage.open`, but DamagedShard where that file cannot be read, now or later."""
    with _as_damage(name):
        return _Readable(storage.open(name), name)


class _Readable:
    """Another blob, with its errors as damage."""

    def __init__(self, blob: Blob, name: str) -> None:
        self._blob = blob
        self._name = name
        self.name = blob.name
        self.size = blob.size
        self.close = blob.close

    def read_range(self, offset: int, length: int) -> bytes:
        with _as_damage(self._name):
            return self._blob.read_range(offset, length)


@contextmanager
def _as_damage(name: str) -> Iterator[None]:
    try:
        yield
    except (UnreadableFile, ObjectRefused) as exc:
        raise DamagedShard(
            "a file of the archive cannot be read, so nobody can tell what it holds",
            hint=exc.hint
            or "look at its permissions, its disk and the kernel's log; all that is "
            "damaged: des-admin verify",
            file=name,
            problem=exc,
        ) from exc
