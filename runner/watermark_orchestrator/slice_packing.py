"""Rows to durable shards: spool, pack, make durable, write the manifest.

Order is the safety argument:

1. The rows of the slice are read once and parted by (day, bucket).
2. Each (day, bucket) becomes shards that are written, synced, read back and published without
   replacing anything.
3. The directory is synced, so that the names are durable too.
4. The manifest of the slice is published and synced.

Only then may `commit` record the slice. A crash before that leaves shards which the next try finds.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import des_core
from des_core.basics.errors import DamagedShard, TooManyFailures
from des_core.ledger.archive_table import table_facts
from des_core.ledger.slices import SliceRecord, shard_names_of_day
from des_core.packing.row_spool import RowSpool
from des_core.packing.tasks import TaskOutcome
from des_core.records import FileFailure, ShardRecord, SourceRow
from des_core.rows.share import Share, own_rows
from des_core.storage.manifests import SliceManifest, claimed_hashes, write_manifest
from watermark_orchestrator.archive import Archive, CyclePolicy
from watermark_orchestrator.progress_events import ProgressEvent
from watermark_orchestrator.slices import Window

if TYPE_CHECKING:
    from watermark_orchestrator.run import Run

# Below this many failures a share of them says nothing about the source as a whole.
RATIO_COUNTS_FROM = 100

# So many rows keep all workers busy; they start while the rest is read.
PREPARED_ROWS = 2000


@dataclass(frozen=True, slots=True)
class PackedSlice:
    """A slice whose shards are durable, and which is not yet recorded."""

    record: SliceRecord
    shards: tuple[ShardRecord, ...]
    failures: tuple[FileFailure, ...]


@dataclass(slots=True)
class _Tally:
    """What the tasks of a slice came to so far."""

    rows: int
    policy: CyclePolicy | None
    new: list[ShardRecord] = field(default_factory=list)
    adopted: list[ShardRecord] = field(default_factory=list)
    failures: list[FileFailure] = field(default_factory=list)
    bigfiles: list[str] = field(default_factory=list)
    files_out: int = 0
    files_present: int = 0
    bytes_in: int = 0

    def add(self, outcome: TaskOutcome) -> None:
        self.new += outcome.shards
        self.adopted += outcome.adopted
        self.failures += outcome.failures
        self.bigfiles += outcome.bigfiles
        self.files_out += outcome.files_out
        self.files_present += outcome.files_present
        self.bytes_in += outcome.bytes_in
        if self.policy is not None:
            self._refuse_too_many(self.policy)

    def _refuse_too_many(self, policy: CyclePolicy) -> None:
        failed = len(self.failures)
        too_many = failed > policy.max_failures
        too_large_a_share = (
            failed >= RATIO_COUNTS_FROM and failed > policy.max_failure_ratio * self.rows
        )
        if not (too_many or too_large_a_share):
            return
        last = self.failures[-1]
        raise TooManyFailures(
            f"{failed} of {self.rows} files of a slice could not be packed; "
            "the watermark was not moved",
            hint="is the disk of the sources mounted? If so many files really are lost, raise "
            "migration.max_failures and migration.max_failure_ratio",
            reason=last.reason,
            example=last.location,
            error=last.error,
        )


def pack_rows(
    run: Run,
    kind: str,
    window: Window,
    pages: Iterable[list[SourceRow]],
    *,
    started_at: datetime,
    share: Share | None = None,
) -> PackedSlice:
    """Pack these rows into durable shards. `kind` is `window`, `exceptions` or `late`.

    With a `share`, rows of other workers' buckets are passed over.

    Only a window can fail as a whole: files that are exceptions already cost nothing more.
    """
    archive = run.archive
    with RowSpool(archive.packer_config.n_bits, archive.storage.scratch_dir) as spool:
        for page in pages:
            run.stop.check()
            spool.add(page if share is None else own_rows(page, share))
            if spool.rows >= PREPARED_ROWS:
                run.packer.prepare()
        run.progress(ProgressEvent("slice_started", window, files_total=spool.rows))
        tally = _Tally(spool.rows, archive.policy if kind == "window" else None)
        _pack_tasks(run, spool, window, tally)
    _require_as_claimed(archive, tally.adopted)
    shards = (*tally.adopted, *tally.new)
    if tally.rows:
        archive.storage.sync_directory()
    if shards:
        manifest = _manifest(archive, kind, window, shards, tally.bigfiles)
        write_manifest(archive.storage, manifest, worker=0 if share is None else share.worker_id)
        archive.storage.sync_directory()
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
        versions=_versions(archive),
        worker=0 if share is None else share.worker_id,
        workers=1 if share is None else share.workers_total,
    )
    return PackedSlice(record, shards, tuple(tally.failures))


def _pack_tasks(run: Run, spool: RowSpool, window: Window, tally: _Tally) -> None:
    days = spool.days()
    if not days:
        return
    existing = run.archive.storage.list_shards(days)
    config = run.archive.config
    known: set[str] = set()
    with config.read() as connection:
        for day in sorted(days):
            known |= shard_names_of_day(connection, config.dialect, day)
    for outcome in run.packer.pack(spool.tasks(existing, known)):
        run.stop.check()
        tally.add(outcome)
        done = tally.files_out + len(tally.failures)
        run.progress(ProgressEvent("files_packed", window, done, tally.rows, tally.bytes_in))
    run.stop.check()


def _require_as_claimed(archive: Archive, adopted: list[ShardRecord]) -> None:
    """A shard that a manifest knows is recorded as it was packed, or not at all."""
    claims = claimed_hashes(archive.storage, [shard.name for shard in adopted])
    for shard in adopted:
        if shard.sha256 not in claims.get(shard.name, {shard.sha256}):
            raise DamagedShard(
                "a shard is not what its manifest says; it was not recorded",
                hint="repair it: des-admin verify --repair",
                shard=shard.name,
                sha256=shard.sha256,
            )


def _manifest(
    archive: Archive,
    kind: str,
    window: Window,
    shards: tuple[ShardRecord, ...],
    bigfiles: list[str],
) -> SliceManifest:
    return SliceManifest(
        window_start=window.start,
        window_end=window.end,
        n_bits=archive.packer_config.n_bits,
        shards=shards,
        bigfiles=tuple(bigfiles),
        kind=kind,
    )


def _versions(archive: Archive) -> str:
    """What packed it, and what must stay as it was: the routing, and the table."""
    made_by = {"des_admin": des_core.__version__, "python": platform.python_version()}
    kept = {"n_bits": archive.packer_config.n_bits, **table_facts(archive.source.settings.table)}
    return json.dumps({**made_by, **kept})
