"""Cycles as the ledger tells them: the slices of one run together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from des_core.ledger.slices import KnownSlice, SliceRecord


@dataclass(frozen=True)
class Cycle:
    """What one run packed. `window_end` is None where it only packed exceptions or late rows."""

    run_id: str
    started_at: datetime
    finished_at: datetime
    window_end: datetime | None
    slices: int
    files: int
    files_failed: int
    content_bytes: int
    shard_bytes: int


def group_cycles(newest: Sequence[KnownSlice], *, is_whole_ledger: bool) -> list[Cycle]:
    """Slices, newest first, as cycles, newest first.

    Where older slices were left out, the oldest run may lack some of its own, and is left out too
    unless it is the only one.
    """
    runs: dict[str, list[SliceRecord]] = {}
    for item in newest:
        runs.setdefault(item.record.run_id, []).append(item.record)
    if not is_whole_ledger and len(runs) > 1:
        runs.pop(newest[-1].record.run_id)
    return [_cycle(run) for run in runs.values()]


def _cycle(slices: Sequence[SliceRecord]) -> Cycle:
    ends = [record.window_end for record in slices if record.kind == "window"]
    return Cycle(
        run_id=slices[0].run_id,
        started_at=min(record.started_at for record in slices),
        finished_at=max(record.finished_at for record in slices),
        window_end=max(ends, default=None),
        slices=len(slices),
        files=sum(record.files_out for record in slices),
        files_failed=sum(record.files_failed for record in slices),
        content_bytes=sum(record.bytes_in for record in slices),
        shard_bytes=sum(record.bytes_out for record in slices),
    )
