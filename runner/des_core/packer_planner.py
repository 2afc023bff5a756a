"""What is to be packed and what came of it: the values that travel between parent and workers.

Pure: nothing here opens a file. Worker processes import this module, so it stays light.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from operator import itemgetter
from typing import NamedTuple

from des_core.errors import UsageError
from des_core.object_config import ObjectStoreConfig
from des_core.routing import (
    MAX_UID_BYTES,
    UnusableUid,
    bucket_count,
    encode_uid,
    parse_shard_name,
)

MIB = 1 << 20
_BY_TIME_AND_UID = itemgetter(1, 0)
ALREADY_COMPRESSED = frozenset(
    {
        *("7z", "avif", "bz2", "docx", "flac", "gif", "gz", "heic", "jpeg", "jpg", "lz4", "m4a"),
        *("mkv", "mov", "mp3", "mp4", "ogg", "opus", "png", "pptx", "rar", "tgz", "webm", "webp"),
        *("woff2", "xlsx", "xz", "zip", "zst"),
    }
)


class SourceRow(NamedTuple):
    """One row of `files`: `created_us` in microseconds since the epoch, `size_bytes` if known."""

    uid: str
    created_us: int
    location: str | None
    size_bytes: int | None


class Reason(StrEnum):
    """Why a file could not be packed; recorded as the exception's reason."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_REGULAR = "not_regular"
    CHANGED = "changed"
    SIZE_MISMATCH = "size_mismatch"
    OUTSIDE_ROOTS = "outside_roots"
    BAD_LOCATION = "bad_location"
    BAD_UID = "bad_uid"
    DUPLICATE_UID = "duplicate_uid"
    WORKER_KILLED = "worker_killed"


@dataclass(frozen=True, slots=True)
class PackerConfig:
    """What shards are made like and where they go. Sizes in bytes; `workers` None means all cores.

    `read_concurrency` bounds the reads in flight per worker when sources turn out to be slow.
    `output_dir` may be a URL of an object store; drafts then go to `scratch_dir`. With the address
    of a Dask `scheduler`, its workers pack instead of processes of ours.
    `uids_repeat` where nothing keeps two rows from having one uid: what a shard has under a uid is
    then taken for a row's file only if the bytes agree.
    """

    output_dir: str
    n_bits: int = 8
    max_shard_size: int = 1_000_000_000
    codec: str = "zstd"
    level: int = 3
    big_file_threshold: int = 10 * MIB
    skip_extensions: frozenset[str] = ALREADY_COMPRESSED
    source_roots: tuple[str, ...] = ()
    workers: int | None = None
    read_concurrency: int = 64
    scratch_dir: str | None = None
    object_store: ObjectStoreConfig = field(default_factory=ObjectStoreConfig)
    uids_repeat: bool = False
    scheduler: str | None = None

    def __post_init__(self) -> None:
        bucket_count(self.n_bits)
        if self.codec not in ("zstd", "none"):
            raise UsageError("shards are written with codec zstd or none", codec=self.codec)
        for name in ("max_shard_size", "big_file_threshold", "read_concurrency"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1", value=getattr(self, name))
        if self.workers is not None and self.workers < 1:
            raise UsageError("workers must be at least 1", value=self.workers)


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """One shard: `content_bytes` before compression, `size_bytes` and `sha256` of the file."""

    name: str
    day: date
    bucket: int
    part: int
    files: int
    content_bytes: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardTask:
    """The rows of a slice that belong to one (day, bucket), or to one of its `chunks`.

    `rows` are `count` rows encoded by the spool, see `row_groups`; `content_bytes` is what their
    sizes, as far as they are known, come to. `existing` are the shards that are there already,
    in the order of their parts; those in `unknown` are not in the ledger, and the task that
    `adopts` sees to that.
    """

    day: date
    bucket: int
    rows: bytes
    count: int = 0
    existing: tuple[str, ...] = ()
    unknown: frozenset[str] = frozenset()
    content_bytes: int = 0
    chunk: int = 0
    chunks: int = 1
    adopts: bool = True


@dataclass(frozen=True, slots=True)
class FileFailure:
    """A row that could not be packed, and why."""

    uid: str
    created_us: int
    location: str | None
    reason: Reason
    error: str


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What came of a task, after its shards were published.

    Every row is in `files_out` or in `failures`. `files_present` of `files_out` were packed
    before. `shards` were written now, `adopted` were found although the ledger lacks them.
    `bytes_in` is the content packed now; `bigfiles` are the sha256 of the big files that the
    shards of both kinds refer to.
    """

    shards: tuple[ShardRecord, ...] = ()
    adopted: tuple[ShardRecord, ...] = ()
    files_out: int = 0
    files_present: int = 0
    bytes_in: int = 0
    failures: tuple[FileFailure, ...] = ()
    bigfiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """The rows of a task in the order of their packing, and those that no shard can hold."""

    rows: list[SourceRow]
    failures: list[FileFailure]


def fail(row: SourceRow, reason: Reason, error: str) -> FileFailure:
    """The failure of a row."""
    return FileFailure(row.uid, row.created_us, row.location, reason, error)


def plan_rows(rows: Iterable[SourceRow], seen: set[str]) -> TaskPlan:
    """Order by (created_at, uid), so that the shard's bytes do not depend on how rows came.

    Of rows with one uid the first in that order is packed. `seen` are the uids of earlier rows
    of the task; those of these rows are added.
    """
    ordered = sorted(rows, key=_BY_TIME_AND_UID)
    uids = [row[0] for row in ordered]
    if all(map(_is_plain, uids)) and seen.isdisjoint(uids):
        before = len(seen)
        seen.update(uids)
        if len(seen) - before == len(uids):
            return TaskPlan(ordered, [])
        seen.difference_update(uids)
    return _plan_one_by_one(sorted(ordered, key=packing_order), seen)


def _plan_one_by_one(ordered: list[SourceRow], seen: set[str]) -> TaskPlan:
    plan = TaskPlan([], [])
    for row in ordered:
        error = _uid_fault(row.uid)
        if error is not None:
            plan.failures.append(fail(row, Reason.BAD_UID, error))
        elif row.uid in seen:
            plan.failures.append(
                fail(row, Reason.DUPLICATE_UID, "an earlier row of the same day has this uid")
            )
        else:
            seen.add(row.uid)
            plan.rows.append(row)
    return plan


def next_part(task: ShardTask) -> int:
    """The first part that a task may write; each further one is `task.chunks` higher.

    Chunks take turns, counting from the parts that the ledger has. So they can be packed side
    by side, and each goes on after its own parts if an interrupted try left some. Gaps
    in the numbers are left as they are.
    """
    first = _first_part(task)
    left = [part for name in task.unknown if (part := _part_of(name)) >= first]
    turns = [(part - first) // task.chunks for part in left if (part - first) % task.chunks == 0]
    return first + (max(turns, default=-1) + 1) * task.chunks


def is_part_of_chunk(name: str, task: ShardTask) -> bool:
    """Whether only this chunk of its (day, bucket) writes the part of that name."""
    part, first = _part_of(name), _first_part(task)
    return part >= first and (part - first) % task.chunks == 0


def _first_part(task: ShardTask) -> int:
    committed = [_part_of(name) for name in task.existing if name not in task.unknown]
    return max(committed, default=-1) + 1 + task.chunk


def _part_of(name: str) -> int:
    parsed = parse_shard_name(name)
    return -1 if parsed is None else parsed.part


def order_parts(names: Sequence[str]) -> tuple[str, ...]:
    """Shard names of one (day, bucket) in the order of their parts."""
    return tuple(sorted(names, key=lambda name: (_part_of(name), name)))


def packing_order(row: SourceRow) -> tuple[int, str, str, int]:
    """The key by which rows are packed: by time, then by whatever else tells them apart."""
    return row[1], row[0], row[2] or "", -1 if row[3] is None else row[3]


def _is_plain(uid: str) -> bool:
    """Surely storable; a uid of which this is not true is looked at closely."""
    return uid.isascii() and 0 < len(uid) <= MAX_UID_BYTES


def _uid_fault(uid: str) -> str | None:
    try:
        encode_uid(uid)
    except UnusableUid as exc:
        return str(exc)
    return None
