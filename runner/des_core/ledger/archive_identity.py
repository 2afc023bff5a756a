"""The output knows which archive it is: a mark in it, and the same one in the ledger.

Whoever writes compares them first. An output that is not mounted, is another archive's, or is an
older copy would else be packed into, and the watermark moved over files that only it has.

1. The mark is published in the output, which never replaces one: of two writers one wins.
2. Then it is written into the ledger. After a crash between the two the next writer completes it.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from des_core.basics.errors import DamagedData, Refused, StorageError
from des_core.database.connections import Database
from des_core.database.transaction import Transaction
from des_core.ledger.events import record_event
from des_core.ledger.jobs import Job, read_job, write_job
from des_core.ledger.slices import newest_shard_names
from des_core.locks.lock import Lock, hold_lock
from des_core.storage.directory import Storage
from des_core.storage.layout import OUTPUT
from des_core.storage.small_files import publish_unless_taken

MARK = "_archive.json"
JOB = "archive"
FORMAT = "des archive"
VERSION = 1
LOOKED_FOR = 8
MOST_BYTES = 65_536
MOUNT_HINT = "is it mounted at packer.output_dir? See: des-admin ledger output"


@dataclass(frozen=True, slots=True)
class OutputState:
    """What the ledger expects of the output, and what is there.

    `expected` and `found` are the marks, None where there is none. `newest` shards of the ledger
    were looked for, and `missing` are those that are not there. `has_shards`: the output has some.
    """

    place: str
    expected: str | None
    found: str | None
    newest: tuple[str, ...]
    missing: tuple[str, ...]
    has_shards: bool

    @property
    def lacks_newest(self) -> bool:
        """Not one of them: one that is missing among others is damage, which `verify` tells."""
        return bool(self.newest) and self.missing == self.newest

    @property
    def is_stranger(self) -> bool:
        """Why not to write: another archive's mark, or one that this ledger knows nothing of."""
        if self.found is None:
            return False
        if self.expected is not None:
            return self.found != self.expected
        return not self.newest and self.has_shards

    @property
    def problem(self) -> str | None:
        """In words; None where it is the archive's own, or is about to become it."""
        if self.is_stranger and self.expected is not None:
            return f"{self.place} is the output of another archive: its mark is not the ledger's"
        if self.is_stranger:
            return f"{self.place} holds an archive that this ledger knows nothing of"
        if self.lacks_newest:
            return (
                f"{self.place} lacks the newest shards of the ledger, like {self.missing[0]}: "
                "not mounted, or an older copy"
            )
        if self.expected is not None and self.found is None and not self.newest:
            return f"{self.place} does not carry the mark of this archive: not mounted?"
        return None

    @property
    def hint(self) -> str:
        if self.is_stranger and self.expected is None:
            return "was the ledger lost? des-admin ledger rebuild; else correct packer.output_dir"
        if self.is_stranger:
            return "correct packer.output_dir; or, if it is meant: des-admin ledger output --adopt"
        if self.lacks_newest and self.found is not None:
            return f"{MOUNT_HINT}; if they are lost: des-admin verify --repair"
        return MOUNT_HINT


@dataclass(frozen=True, slots=True)
class Expected:
    """What the ledger expects of the output: its mark, None before the first cycle, and shards."""

    mark: str | None
    newest: tuple[str, ...]


def look_at_output(config: Database, storage: Storage) -> OutputState:
    """Compare; changes nothing."""
    return compare_output(storage, read_expected(config))


def read_expected(config: Database) -> Expected:
    """What the output must have, by the ledger."""
    job = read_job(config, JOB)
    with config.read() as tx:
        newest = tuple(newest_shard_names(tx, limit=LOOKED_FOR))
    return Expected(None if job is None else str(job.details["id"]), newest)


def compare_output(storage: Storage, expected: Expected) -> OutputState:
    """The output against it; asks no database."""
    newest = expected.newest
    found = read_mark(storage)
    missing = tuple(name for name in newest if not storage.exists(name))
    has_shards = bool(newest) and missing != newest
    if found is not None and not newest:
        has_shards = bool(storage.list_shards())
    return OutputState(storage.output_dir, expected.mark, found, newest, missing, has_shards)


def require_own_output(
    config: Database, storage: Storage, *, may_lack_shards: bool = False
) -> OutputState:
    """Refused where the output is not the archive's. A repair may find its newest shards gone."""
    state = look_at_output(config, storage)
    is_repaired = may_lack_shards and state.lacks_newest and state.found == state.expected
    if state.problem is not None and not (is_repaired and state.found is not None):
        raise Refused(f"{state.problem}; nothing was written", hint=state.hint)
    return state


def mark_output(lock: Lock, storage: Storage, state: OutputState, now: datetime) -> str:
    """See to it that output and ledger carry the same mark; which it is."""
    mark = state.found or _publish(storage, state.expected or uuid.uuid4().hex)
    if mark != state.expected:
        job = Job(JOB, "done", None, 0, None, {"id": mark})
        lock.write(lambda tx: write_job(tx, job, now))
    return mark


def read_mark(storage: Storage) -> str | None:
    """The mark of an output; None where it has none. DamagedData where it cannot be one."""
    if not storage.exists(MARK):
        return None
    content = _read_content(storage)
    try:
        value: dict[str, Any] = json.loads(content)
        mark = uuid.UUID(value["id"]).hex
        is_ours = (value["format"], value["version"]) == (FORMAT, VERSION)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise DamagedData(
            "the mark of the archive cannot be read", place=storage.output_dir, name=MARK
        ) from exc
    if not is_ours:
        raise DamagedData(
            "the mark of the archive is of a newer version", place=storage.output_dir, name=MARK
        )
    return mark


def _read_content(storage: Storage) -> bytes:
    try:
        blob = storage.open(MARK)
        try:
            return blob.read_range(0, min(blob.size(), MOST_BYTES))
        finally:
            blob.close()
    except FileNotFoundError as exc:
        raise StorageError(
            "the mark of the archive was there, and is not found a moment later",
            hint="run the same command again; if that does not help, look at the store",
            place=storage.output_dir,
            name=MARK,
        ) from exc


def _publish(storage: Storage, mark: str) -> str:
    publish_unless_taken(storage, MARK, _content(mark))
    storage.sync_directory(OUTPUT)
    return read_mark(storage) or mark


def _content(mark: str) -> bytes:
    value = {"format": FORMAT, "version": VERSION, "id": mark}
    return (json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n").encode()


def adopt_output(config: Database, storage: Storage, *, actor: str, reason: str | None) -> str:
    """Let the ledger take this output for its own; the mark. Refused where newest shards lack."""
    now = datetime.now(UTC)
    with hold_lock(config, "ledger output") as lock:
        state = look_at_output(config, storage)
        if state.lacks_newest:
            raise Refused(f"{state.problem}; nothing was written", hint=state.hint)
        mark = mark_output(lock, storage, state, now)

        def record(tx: Transaction) -> None:
            record_event(
                tx,
                action="output adopted",
                actor=actor,
                now=now,
                from_value=state.expected,
                to_value=mark,
                reason=reason,
                details={"place": storage.output_dir},
            )

        lock.write(record)
    return mark
