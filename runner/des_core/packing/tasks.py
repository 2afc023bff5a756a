"""Files to be packed and the results: tasks, their plans, their outcomes.

Pure: nothing here opens a file. Worker processes import this module, so it stays light.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from operator import itemgetter

from des_core.basics.routing import (
    MAX_UID_BYTES,
    UnusableUid,
    encode_uid,
    part_of,
)
from des_core.records import FileFailure, Reason, ShardRecord, SourceRow, fail
from des_core.rows.values import describe_uid

_BY_TIME_AND_UID = itemgetter(1, 0)


@dataclass(frozen=True, slots=True)
class ShardTask:
    """The rows of a slice that belong to one (day, bucket), or to one of its `chunks`.

    `rows` are `count` rows encoded by the spool, see `row_groups`; `content_bytes` is what their
    sizes, as far as they are known, come to. `existing` are the shards that are there already,
    in the order of their parts; those in `unknown` are not in the ledger, and the task that
    `adopts` sees to that. `dictionary` names the one that small files are compressed with.
    `lost` is the highest part that the ledger has and the storage has not: it may come back.
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
    dictionary: str | None = None
    lost: int = -1


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What came of a task, after its shards were published.

    Every row is in `files_out` or in `failures`. `files_present` of `files_out` were packed
    before. `shards` were written now, `adopted` were found although the ledger lacks them.
    `bytes_in` is the content packed now; `bigfiles` are the sha256 of the big files, and
    `dictionaries` the names of the dictionaries, that the shards of both kinds refer to.
    """

    shards: tuple[ShardRecord, ...] = ()
    adopted: tuple[ShardRecord, ...] = ()
    files_out: int = 0
    files_present: int = 0
    bytes_in: int = 0
    failures: tuple[FileFailure, ...] = ()
    bigfiles: tuple[str, ...] = ()
    dictionaries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """The rows of a task in the order of their packing, and those that no shard can hold."""

    rows: list[SourceRow]
    failures: list[FileFailure]


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
    left = [part for name in task.unknown if (part := part_of(name)) >= first]
    turns = [(part - first) // task.chunks for part in left if (part - first) % task.chunks == 0]
    return first + (max(turns, default=-1) + 1) * task.chunks


def is_part_of_chunk(name: str, task: ShardTask) -> bool:
    """Whether only this chunk of its (day, bucket) writes the part of that name."""
    part, first = part_of(name), _first_part(task)
    return part >= first and (part - first) % task.chunks == 0


def _first_part(task: ShardTask) -> int:
    committed = [part_of(name) for name in task.existing if name not in task.unknown]
    return max([*committed, task.lost]) + 1 + task.chunk


def packing_order(row: SourceRow) -> tuple[int, str, str, int]:
    """The key by which rows are packed: by time, then by whatever else tells them apart."""
    return row[1], row[0], row[2] or "", -1 if row[3] is None else row[3]


def _is_plain(uid: str) -> bool:
    """Surely storable; a uid of which this is not true is looked at closely."""
    return uid.isascii() and 0 < len(uid) <= MAX_UID_BYTES


def _uid_fault(uid: str) -> str | None:
    fault = describe_uid(uid)
    if fault is not None:
        return fault
    try:
        encode_uid(uid)
    except UnusableUid as exc:
        return str(exc)
    return None
