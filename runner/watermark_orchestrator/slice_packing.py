"""Rows to durable shards: spool, pack, make durable, write the manifest.

Order is the safety argument:

1. The rows of the slice are read once (`slice_rows`) and parted by (day, bucket).
2. The dictionary that they are compressed with, if any, is made durable (`slice_dictionary`).
3. Each (day, bucket) becomes shards that are written, synced, read back and published without
   replacing anything.
4. The directory is synced, so that the names are durable too.
5. The manifest of the slice is published and synced.

Only then may `commit` record the slice. A crash before that leaves shards which the next try finds.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import des_core
from des_core.basics.routing import parse_shard_name
from des_core.ledger.archive_table import table_facts
from des_core.ledger.slices import PackedFor, SliceRecord, shards_of_day
from des_core.packing.row_spool import RowSpool
from des_core.records import FileFailure, ShardRecord, SourceRow
from des_core.rows.share import Share
from des_core.storage.layout import ShardsByBucket, place_of
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.brake import Brake
from watermark_orchestrator.durable_slice import Tally, make_durable
from watermark_orchestrator.progress_events import ProgressEvent
from watermark_orchestrator.slice_dictionary import choose_dictionaries
from watermark_orchestrator.slice_rows import fill
from watermark_orchestrator.slices import Window

if TYPE_CHECKING:
    from watermark_orchestrator.run import Run


@dataclass(frozen=True, slots=True)
class PackedSlice:
    """A slice whose shards are durable, and which is not yet recorded."""

    record: SliceRecord
    shards: tuple[ShardRecord, ...]
    failures: tuple[FileFailure, ...]


def pack_rows(
    run: Run,
    kind: str,
    window: Window,
    rows: list[SourceRow],
    *,
    started_at: datetime,
    share: Share | None = None,
) -> PackedSlice:
    """As `pack_slice`, of rows that are in memory."""
    archive = run.archive
    with closing(RowSpool(archive.packer_config.n_bits, archive.storage.scratch_dir)) as spool:
        fill(run, spool, [rows], share)
        return pack_slice(run, kind, window, spool, started_at=started_at, share=share)


def pack_slice(
    run: Run,
    kind: str,
    window: Window,
    spool: RowSpool,
    *,
    started_at: datetime,
    share: Share | None = None,
) -> PackedSlice:
    """Pack these rows into durable shards. `kind` is `window`, `exceptions` or `late`.

    With a `share`, rows of other workers' buckets are passed over.

    Only a window can fail as a whole: files that are exceptions already cost nothing more.
    """
    archive = run.archive
    n_bits = archive.packer_config.n_bits
    run.progress(ProgressEvent("slice_started", window, files_total=spool.rows))
    tally = Tally(spool.rows)
    brake = run.brake if kind == "window" else None
    _pack_tasks(run, kind, spool, window, tally, brake)
    if brake is not None:
        brake.add(tally.rows, len(tally.failures))
    worker, workers = (0, 1) if share is None else (share.worker_id, share.workers_total)
    make_durable(archive.storage, tally, kind, window, n_bits=n_bits, worker=worker)
    record = SliceRecord(
        run_id=run.run_id,
        kind=kind,
        window_start=window.start,
        window_end=window.end,
        files_in=tally.rows,
        files_out=tally.files_out,
        files_failed=len(tally.failures),
        files_present=tally.files_present,
        bytes_in=tally.bytes_in,
        bytes_out=sum(shard.size_bytes for shard in tally.new),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        versions=_versions(archive, tally.dictionaries),
        worker=worker,
        workers=workers,
    )
    return PackedSlice(record, tally.shards, tuple(tally.failures))


def _pack_tasks(
    run: Run, kind: str, spool: RowSpool, window: Window, tally: Tally, brake: Brake | None
) -> None:
    days = spool.days()
    if not days:
        return
    dictionary_of = choose_dictionaries(run, kind, window)
    config = run.archive.config
    known: dict[str, PackedFor] = {}
    with config.read() as tx:
        for day in sorted(days):
            known |= shards_of_day(tx, day)
    existing = run.listing.of_days(days, known)
    lost = _lost_parts(existing, known, window if kind == "window" else None)
    tasks = spool.tasks(existing, known, dictionary_of, lost)
    for outcome in run.packer.pack(tasks, spool.rows, spool.content_bytes):
        run.stop.check()
        run.lock.keep()
        tally.add(outcome)
        if brake is not None and outcome.failures:
            brake.judge(tally.rows, tally.failures)
        done = tally.files_out + len(tally.failures)
        run.progress(ProgressEvent("files_packed", window, done, tally.rows, tally.bytes_in))
    run.listing.add(shard.name for shard in tally.shards)
    run.stop.check()


def _lost_parts(
    existing: ShardsByBucket, known: Mapping[str, PackedFor], window: Window | None
) -> dict[tuple[date, int], int]:
    """The highest part of each place that the ledger has and the storage has not.

    Its name is not given to other rows: the shard may come back, from a copy. A window that has
    all its rows packs it again, under that name.
    """
    lost: dict[tuple[date, int], int] = {}
    for name, packed in known.items():
        parsed = parse_shard_name(name)
        if parsed is None or name in existing.get(place := place_of(parsed), ()):
            continue
        if window is None or not window.covers(packed.window_start, packed.window_end):
            lost[place] = max(parsed.part, lost.get(place, -1))
    return lost


def _versions(archive: Archive, dictionaries: set[str]) -> str:
    """What packed it, and what must stay as it was: the routing, and the table."""
    made_by = {"des_admin": des_core.__version__, "python": platform.python_version()}
    kept = {"n_bits": archive.packer_config.n_bits, **table_facts(archive.source.settings.table)}
    packed_with = {"dictionaries": sorted(dictionaries)} if dictionaries else {}
    return json.dumps({**made_by, **kept, **packed_with})
