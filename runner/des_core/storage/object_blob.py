"""Objects that are read by range: one request brings the end, where a shard has its index."""

from __future__ import annotations

from des_core.basics.errors import DamagedShard
from des_core.storage.object_store import ObjectStore

# A small shard is wholly in its last bytes: then one request reads all of it.
TAIL_BYTES = 256 << 10
# What is asked for when one range follows the other.
AHEAD_BYTES = 8 << 20


class ObjectBlob:
    """One object. `FileNotFoundError` where there is none; changes meanwhile are noticed."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        self.name = f"{store.url}/{name}"
        self._store = store
        self._object = name
        with _readable(self.name):
            facts, tail = store.get_tail(name, TAIL_BYTES)
        self._size, self._etag = facts.size, facts.etag
        self._tail_start = facts.size - len(tail)
        self._tail = tail
        self._window_start, self._window = 0, b""

    def size(self) -> int:
        return self._size

    def read_range(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self._size - offset))
        if length == 0:
            return b""
        if offset >= self._tail_start:
            at = offset - self._tail_start
            return self._tail[at : at + length]
        window_end = self._window_start + len(self._window)
        if not (self._window_start <= offset and offset + length <= window_end):
            self._load(offset, length, follows=offset == window_end and window_end > 0)
        at = offset - self._window_start
        return self._window[at : at + length]

    def close(self) -> None:
        self._window = b""

    def _load(self, offset: int, length: int, *, follows: bool) -> None:
        """The range itself, or more of it where reading goes on from where it was."""
        wanted = max(length, AHEAD_BYTES) if follows else length
        end = min(offset + wanted, self._size)
        with _readable(self.name):
            self._window = self._store.get_range(self._object, offset, end, self._etag)
        self._window_start = offset


class _readable:  # noqa: N801 - a context, read as a word
    """Errors of an object that is there but cannot be read."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BlockingIOError):
            raise DamagedShard("an object changed while it was read", object=self._name) from error
