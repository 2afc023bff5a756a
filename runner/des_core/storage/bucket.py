"""Shards in a bucket. A draft is a local file; it becomes an object by one conditional create.

1. The draft is written to the scratch directory and checked there.
2. It is created under its name, which the store refuses where there is an object already.
3. Whatever is then under that name, ours or not, is read back and its hash compared with the
   draft's: an answer that got lost, a name that was taken and bytes that were spoilt on the way
   all come out here.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from des_core.basics.errors import StorageError
from des_core.basics.object_config import MIB
from des_core.basics.routing import day_text
from des_core.basics.storage_errors import storage_error
from des_core.packer_planner import PackerConfig
from des_core.shard_io.blobs import Blob
from des_core.storage.answers import RIGHTS, AccessDenied
from des_core.storage.drafts import Draft, LocalDraft, draft_run
from des_core.storage.layout import ShardsByBucket, set_aside_as
from des_core.storage.listing import ShardListing, group_shards
from des_core.storage.local_files import remove_dead
from des_core.storage.object_blob import ObjectBlob
from des_core.storage.object_store import ObjectStore

MAX_SET_ASIDE = 1000
PROBE = ".des-admin-probe"
REMOTE_DRAFT = ".tmp-"
# A draft in the bucket lives for minutes; one this old belongs to nobody.
DRAFT_LIFETIME = timedelta(days=1)
# Objects that wait in memory to be sent, per process.
BYTES_IN_FLIGHT = 256 * MIB
READ_BACK_BYTES = 8 * MIB


class ObjectStorage:
    """`output_dir` is a URL like `s3://bucket/prefix`; shards lie flat below it."""

    def __init__(
        self, config: PackerConfig, run_id: str = "0", check: Callable[[], None] = lambda: None
    ) -> None:
        """`check` is called before each request and raises to interrupt."""
        self.output_dir = config.output_dir.rstrip("/")
        self.scratch_dir = config.scratch_dir or tempfile.gettempdir()
        self.publishes_at_once: int | None = config.object_store.requests_in_flight
        self._single_put_bytes = config.object_store.single_put_bytes
        self._run_id = run_id
        self._store = ObjectStore(self.output_dir, config.object_store, check)
        self._budget = ByteBudget(BYTES_IN_FLIGHT)
        if not Path(self.scratch_dir).is_dir():
            raise StorageError(
                "the scratch directory does not exist",
                hint="create it, or correct packer.scratch_dir",
                path=self.scratch_dir,
            )

    def create_draft(self, directory: str = "") -> LocalDraft:
        return LocalDraft(self.scratch_dir, self._run_id, durable=False)

    def publish(self, draft: Draft, name: str) -> bool:
        size = Path(draft.path).stat().st_size
        if size <= self._single_put_bytes:
            with self._budget.taken(size):
                content = _read(draft.path)
                digest = hashlib.sha256(content).hexdigest()
                is_new = self._store.create(name, content)
        else:
            digest = _hash_file(draft.path)
            remote = f"{REMOTE_DRAFT}{self._run_id}-{os.getpid()}-{secrets.token_hex(8)}"
            is_new = self._store.create_large(name, Path(draft.path), remote)
        self._check_equal(name, digest, size, is_new=is_new)
        draft.discard()
        return is_new

    def sync_directory(self, *names: str) -> None:
        """An object that was created is there."""

    def list_shards(self, days: Collection[date] | None = None) -> ShardsByBucket:
        """Days that follow each other are one listing; the names begin with the day."""
        return group_shards(self._names([("0", "9")] if days is None else _stretches(days)))

    def listing(self) -> ShardListing:
        return ShardListing(lambda: self._names([("0", "9")]), self.exists, self.list_shards)

    def _names(self, stretches: Iterable[tuple[str, str]]) -> Iterator[str]:
        for first, last in stretches:
            for facts in self._store.walk(after=first):
                if facts.name[: len(last)] > last:
                    break
                yield facts.name

    def list_names(self, directory: str) -> list[str]:
        return [facts.name.removeprefix(f"{directory}/") for facts in self._store.walk(directory)]

    def open(self, name: str) -> Blob:
        return ObjectBlob(self._store, name)

    def exists(self, name: str) -> bool:
        try:
            self._store.head(name)
        except FileNotFoundError:
            return False
        return True

    def clean_leftovers(self, run_id: str | None = None) -> int:
        """Local drafts of the dead, and drafts in the bucket that are our own or a day old."""
        return self.clean_scratch(run_id) + self._clean_bucket(run_id)

    def clean_scratch(self, run_id: str | None = None) -> int:
        """Those on this machine alone, which need not be the runner's."""
        removed = 0
        for entry in os.scandir(self.scratch_dir):
            run = draft_run(entry.name)
            if run is not None and run_id in (None, run):
                removed += remove_dead(entry.path)
        return removed

    def set_aside(self, name: str) -> str:
        """By a copy that replaces nothing; the object goes only when the copy is there."""
        for number in range(MAX_SET_ASIDE):
            aside = set_aside_as(name) + (f".{number}" if number else "")
            if self._store.copy(name, aside):
                self._store.delete(name)
                return aside
        raise StorageError("too many objects of that name are set aside already", object=name)

    def probe_writable(self) -> None:
        """See that the bucket can be written, and that it refuses to replace an object."""
        self._store.create(PROBE, b"")
        if self._store.create(PROBE, b"replaced"):
            raise StorageError(
                "the object store replaces objects although it is asked not to",
                hint="it must honour If-None-Match: * on PUT; most stores do since 2024",
                place=self.output_dir,
            )

    def _clean_bucket(self, run_id: str | None) -> int:
        oldest = datetime.now(UTC) - DRAFT_LIFETIME
        dead = []
        for facts in self._store.walk(after=REMOTE_DRAFT):
            if not facts.name.startswith(REMOTE_DRAFT):
                break
            run = draft_run(facts.name)
            if run is not None and (run == run_id if run_id else facts.modified < oldest):
                dead.append(facts.name)
        for name in dead:
            self._store.delete(name)
        return len(dead) + self._store.uploads.abort_where(
            lambda upload: _belongs_to(upload.name, run_id) if run_id else upload.begun_at < oldest
        )

    def missing_rights(self) -> list[str]:
        """Which rights the role lacks, each tried once. `StorageError` for what is no such answer.

        Deleting is only for what a dead run left and for what is set aside.
        """
        store, absent = self._store, f"{PROBE}-{secrets.token_hex(8)}"
        tries: tuple[tuple[str, Callable[[], object]], ...] = (
            ("list", lambda: next(store.walk(), None)),
            ("write", lambda: store.create(PROBE, b"")),
            ("read", lambda: store.get(PROBE)),
            ("delete", lambda: store.delete(absent)),
        )
        missing = []
        for verb, attempt in tries:
            try:
                attempt()
            except AccessDenied:
                missing.append(RIGHTS[verb])
            except FileNotFoundError:
                continue
        return [*missing, *store.uploads.missing_rights()]

    def _check_equal(self, name: str, digest: str, size: int, *, is_new: bool) -> None:
        try:
            found = self._hash_object(name, size)
        except OSError as exc:
            raise StorageError(
                "an object cannot be read back that was written a moment ago",
                hint="run again: what is packed is kept; find out who else writes there",
                place=self.output_dir,
                object=name,
                reason=exc,
            ) from exc
        if found == digest:
            return
        if is_new:
            raise StorageError(
                "an object did not read back as it was written",
                hint="move it away, then run again; find out what stands between us and the store",
                place=self.output_dir,
                object=name,
            )
        raise StorageError(
            "an object with this name and other content is there already; it was not touched",
            hint="find out who else writes to packer.output_dir; "
            "des-admin verify tells whether that object is sound",
            place=self.output_dir,
            object=name,
        )

    def _hash_object(self, name: str, size: int) -> str | None:
        """The hash of what the store has under that name; None if even the size is another."""
        if size <= READ_BACK_BYTES:
            return hashlib.sha256(self._store.get(name)[1]).hexdigest()
        facts = self._store.head(name)
        if facts.size != size:
            return None
        digest = hashlib.sha256()
        for start in range(0, size, READ_BACK_BYTES):
            end = min(start + READ_BACK_BYTES, size)
            digest.update(self._store.get_range(name, start, end, facts.etag))
        return digest.hexdigest()


class ByteBudget:
    """Lets so many bytes through at a time, and one that is larger than all alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + size <= self._limit)
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()


def _belongs_to(name: str, run_id: str) -> bool:
    return draft_run(name) == run_id


def _stretches(days: Collection[date]) -> Iterator[tuple[str, str]]:
    """First and last day of each run of neighbouring days, as names of shards begin."""
    ordered = sorted(set(days))
    starts = [n for n, day in enumerate(ordered) if n == 0 or (day - ordered[n - 1]).days > 1]
    for start, end in zip(starts, [*starts[1:], len(ordered)], strict=True):
        yield day_text(ordered[start]), day_text(ordered[end - 1])


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise storage_error("cannot read a draft", exc, path) from exc


def _hash_file(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise storage_error("cannot read a draft", exc, path) from exc
