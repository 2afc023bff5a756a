"""Sources in object stores: `s3://bucket/key` in a row's location, any number of buckets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import BinaryIO, NamedTuple

from des_core.basics.errors import StorageError, UsageError
from des_core.basics.object_config import MIB, ObjectStoreConfig, is_object_url, is_s3, split_url
from des_core.records import Reason
from des_core.shard_io.bigfiles import BigFile, copy_hashed
from des_core.sources.files import BigSource
from des_core.sources.roots import SourceFailure, unseen_ending
from des_core.storage.answers import ObjectRefused
from des_core.storage.any_key import is_plain
from des_core.storage.object_store import ObjectFacts, ObjectStore

PIECE_BYTES = 8 * MIB
FORGOTTEN_AFTER_S = 600.0


class _Down(NamedTuple):
    """The first object of a place that cannot be read, and what was said."""

    key: str
    text: str
    since: float


class ObjectSources:
    """Objects of any bucket. May be used by several threads.

    The store names the content of an object by its etag; what changes while it is read in pieces is
    refused, and one request cannot see two versions.
    """

    def __init__(
        self,
        big_file_threshold: int,
        config: ObjectStoreConfig,
        source_roots: Sequence[str] = (),
        *,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`check` is called before each request, and raises to interrupt."""
        self._threshold = big_file_threshold
        self._config = config
        self._check = check
        self._has_roots = bool(source_roots)
        self._roots = tuple(root.rstrip("/") + "/" for root in source_roots if is_object_url(root))
        self._stores: dict[str, ObjectStore] = {}
        self._unusable: dict[str, SourceFailure] = {}
        self._down: dict[str, _Down] = {}
        self._guard = threading.Lock()

    def read(self, location: str | None, size_bytes: int | None) -> bytes | BigSource:
        """As `SourceOpener.read`."""
        store, key = self._find(location or "")
        self._refuse_known(store.url, key)
        try:
            facts, content = store.get_unless_larger(key, self._threshold)
        except (OSError, ValueError, StorageError) as exc:
            raise self._verdict(_explain(exc, store, key), store, key) from exc
        self._down.pop(store.url, None)
        if size_bytes is not None and facts.size != size_bytes:
            raise SourceFailure(
                Reason.SIZE_MISMATCH,
                f"the object has {facts.size} bytes, its row says {size_bytes}",
            )
        return ObjectBigSource(store, facts, key) if content is None else content

    def release(self) -> None:
        """Nothing is held open between reads."""

    def facts(self, location: str) -> ObjectFacts:
        """What the store says about an object; `SourceFailure` if it cannot be read."""
        store, key = self._find(location)
        try:
            return store.head(key)
        except (OSError, ValueError, StorageError) as exc:
            raise _explain(exc, store, key) from exc

    def _find(self, location: str) -> tuple[ObjectStore, str]:
        root, key = split_url(location)
        if not key or root.endswith("//") or not _can_be_asked_for(root, key):
            raise SourceFailure(
                Reason.BAD_LOCATION, "not the URL of an object that can be asked for"
            )
        if self._has_roots and not f"{root}/{key}".startswith(self._roots):
            raise SourceFailure(Reason.OUTSIDE_ROOTS, "outside packer.source_roots")
        with self._guard:
            if root not in self._stores:
                self._stores[root] = self._open_store(root)
            return self._stores[root], key

    def _open_store(self, root: str) -> ObjectStore:
        """`SourceFailure` for a place that no client can be made for: other rows are elsewhere."""
        if root not in self._unusable:
            try:
                return ObjectStore(root, self._config, self._check)
            except UsageError as exc:
                text = f"{exc.message}: {exc.hint}"
                self._unusable[root] = SourceFailure(Reason.UNREADABLE, text)
            except StorageError as exc:
                text = f"{exc.message}: {exc.facts.get('reason', '')}"
                self._unusable[root] = SourceFailure(Reason.BAD_LOCATION, text)
        failure = self._unusable[root]
        raise SourceFailure(failure.reason, failure.message)

    def _verdict(self, error: Exception, store: ObjectStore, key: str) -> Exception:
        """That a whole place cannot be read is proved by a second object of it, not by one."""
        if not isinstance(error, StorageError):
            return error
        text = f"{error.message}: {error.facts.get('reason', '')}"
        down = self._down.setdefault(store.url, _Down(key, text, monotonic()))
        return SourceFailure(Reason.UNREADABLE, text) if down.key == key else error

    def _refuse_known(self, root: str, key: str) -> None:
        """Rows may share one location: nobody waits for the same place twice."""
        down = self._down.get(root)
        if down is None or down.key != key:
            return
        if monotonic() - down.since > FORGOTTEN_AFTER_S:
            self._down.pop(root, None)
            return
        raise SourceFailure(Reason.UNREADABLE, down.text)


class ObjectBigSource:
    """An object that is too big to be held in memory, read in pieces of one version."""

    def __init__(self, store: ObjectStore, facts: ObjectFacts, key: str) -> None:
        self.size = facts.size
        self._store = store
        self._facts = facts
        self._key = key
        self._position = 0
        self._piece = memoryview(b"")

    def copy_to(self, destination: BinaryIO) -> BigFile:
        return copy_hashed(self, destination)

    def close(self) -> None:
        self._piece = memoryview(b"")

    def readinto(self, buffer: memoryview) -> int:
        """The next bytes, for `copy_hashed`."""
        if not self._piece:
            end = min(self._position + PIECE_BYTES, self._facts.size)
            if end == self._position:
                return 0
            self._piece = memoryview(self._read(self._position, end))
            self._position = end
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def _read(self, start: int, end: int) -> bytes:
        try:
            return self._store.get_range(self._key, start, end, self._facts.etag)
        except (OSError, ValueError, StorageError) as exc:
            raise _explain(exc, self._store, self._key) from exc


def look_at(location: str, config: ObjectStoreConfig) -> ObjectFacts:
    """What the store says about one object; `SourceFailure` if it cannot be read."""
    return ObjectSources(1, config).facts(location)


def _explain(exc: Exception, store: ObjectStore, key: str) -> Exception:
    """What an error means: for this object, or for all of them."""
    if isinstance(exc, FileNotFoundError):
        return SourceFailure(Reason.MISSING, "there is no such object" + unseen_ending(key))
    if isinstance(exc, BlockingIOError):
        return SourceFailure(Reason.CHANGED, "the object was changed while it was read")
    if isinstance(exc, ObjectRefused):
        return SourceFailure(Reason.UNREADABLE, f"{exc.message} ({exc.facts.get('code')})")
    if isinstance(exc, ValueError):
        return SourceFailure(Reason.BAD_LOCATION, "not a key that can be asked for")
    if isinstance(exc, StorageError) and store.is_reachable():
        return SourceFailure(Reason.UNREADABLE, str(exc.facts.get("reason", exc.message)))
    return exc


def _can_be_asked_for(root: str, key: str) -> bool:
    """Whether some client asks for this object and no other: S3 takes any key that is text."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return is_s3(root) or is_plain(key)
