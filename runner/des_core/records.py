"""What travels between parent and workers: a row, a failure, a shard. Pure, and light to import."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple


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
    ROW_GONE = "row_gone"


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
class FileFailure:
    """A row that could not be packed, and why."""

    uid: str
    created_us: int
    location: str | None
    reason: Reason
    error: str


def fail(row: SourceRow, reason: Reason, error: str) -> FileFailure:
    """The failure of a row."""
    return FileFailure(row.uid, row.created_us, row.location, reason, error)
