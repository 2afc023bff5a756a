"""A run: the lock, the fence, the processes that pack, and a way to stop."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from des_core.basics.errors import LockHeld, StorageError
from des_core.database.transaction import Transaction
from des_core.ledger.archive_identity import mark_output, require_own_output
from des_core.ledger.events import read_head
from des_core.ledger.provenance import (
    Origin,
    read_provenance,
    record_replay,
    refuse_future,
    refuse_unexplained,
)
from des_core.ledger.slices import newest_slices
from des_core.ledger.trail_heads import keep_head
from des_core.ledger.watermark import Watermark, take_fence
from des_core.ledger.workers import change_layout, claim_worker, find_other_layout
from des_core.locks.lock import POLL_S, REGISTERING_S, Lock, hold_lock, hold_worker_lock
from des_core.metrics import RunnerMetrics
from des_core.packing.packer import Packer
from des_core.process.logs import bind, get_logger
from des_core.rows.share import Share
from des_core.storage.listing import ShardListing
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.brake import LOOKS_BACK, Brake, count_in_a_row
from watermark_orchestrator.progress_events import ProgressSink
from watermark_orchestrator.stopping import StopRequest
from watermark_orchestrator.writers import SoleWriter, StaticWorker, Writer

log = get_logger("run")


@dataclass(frozen=True)
class Run:
    """A run that holds the lock and the fence, with its pool of workers.

    `listing` has the shards that were there when it was first asked, and those of this run.
    """

    archive: Archive
    packer: Packer
    lock: Lock
    run_id: str
    stop: StopRequest
    progress: ProgressSink
    metrics: RunnerMetrics
    brake: Brake
    listing: ShardListing


@contextmanager
def open_run(
    archive: Archive,
    stop: StopRequest,
    progress: ProgressSink,
    purpose: str,
    *,
    may_lack_shards: bool = False,
) -> Iterator[tuple[Run, Watermark]]:
    """A run that is alone with the archive, whatever share its configuration has."""
    with open_writer(archive, stop, progress, purpose, may_lack_shards=may_lack_shards) as (
        run,
        writer,
    ):
        if not isinstance(writer, SoleWriter):
            raise TypeError("a run without a share is alone")
        yield run, writer.state


@contextmanager
def open_writer(
    archive: Archive,
    stop: StopRequest,
    progress: ProgressSink,
    purpose: str,
    metrics: RunnerMetrics | None = None,
    *,
    share: Share | None = None,
    may_lack_shards: bool = False,
) -> Iterator[tuple[Run, Writer]]:
    """Lock, fence, clean what a dead run left, start the packer. Alone, unless it has a share."""
    archive.require_named_roots()
    config, storage = archive.config, archive.storage
    archive.require_as_begun(may_lack_output=True)
    state = require_own_output(config, storage, may_lack_shards=may_lack_shards)
    storage.probe_writable()
    with _become_writer(archive, purpose, share) as (lock, writer):
        _settle_position(archive, lock, writer)
        mark_output(lock, storage, state, datetime.now(UTC))
        archive.storage.clean_leftovers()
        with (
            Packer(archive.packer_config) as packer,
            stop.on_stop(lambda: packer.cancel(stop.error())),
        ):
            run_id = uuid.uuid4().hex
            with bind(run_id=run_id, worker=archive.source.settings.shard_id or 0):
                brake = Brake(archive.policy, _failed_in_a_row(archive, share))
                run = Run(
                    archive=archive,
                    packer=packer,
                    lock=lock,
                    run_id=run_id,
                    stop=stop,
                    progress=progress,
                    metrics=metrics or RunnerMetrics(),
                    brake=brake,
                    listing=storage.listing(),
                )
                yield run, writer
                keep_trail_head(archive)


def keep_trail_head(archive: Archive) -> None:
    """Say outside of the database how far the audit trail is: beside the manifests, in the log.

    What was committed stays committed, so a place that cannot be written is a warning.
    """
    with archive.config.read() as tx:
        head = read_head(tx)
    if head is None:
        return
    log.info("trail_head", event_id=head.event_id, hash=head.hash)
    try:
        keep_head(archive.storage, head)
    except StorageError as exc:
        log.warning("trail_head_not_kept", event_id=head.event_id, reason=exc.message)


def _failed_in_a_row(archive: Archive, share: Share | None) -> int:
    worker = 0 if share is None else share.worker_id
    with archive.config.read() as tx:
        newest = newest_slices(tx, limit=LOOKS_BACK)
    return count_in_a_row((item.record for item in newest), worker)


def _settle_position(archive: Archive, lock: Lock, writer: Writer) -> None:
    """Refused where SQL moved the watermark forward; a move back is recorded as a replay."""
    with archive.config.read() as tx:
        found = read_provenance(tx)
    if not found.is_explained:
        refuse_future(found, archive.source.clock().now)
    refuse_unexplained(found)
    if found.origin is not Origin.BACK:
        return
    now = datetime.now(UTC)

    def work(tx: Transaction) -> None:
        writer.begin(tx)
        record_replay(tx, found, actor=archive.actor, now=now)
        writer.confirm(tx, actor=archive.actor, now=now)

    lock.write(work)


@contextmanager
def _become_writer(
    archive: Archive, purpose: str, share: Share | None
) -> Iterator[tuple[Lock, Writer]]:
    config, actor = archive.config, archive.actor
    if share is None:
        with hold_lock(config, purpose) as lock:
            yield lock, SoleWriter(lock.write(take_fence))
        return
    _share_out(archive, share)
    now = datetime.now(UTC)
    with hold_worker_lock(config, f"{purpose} worker {share}", share.worker_id) as lock:
        claim = partial(claim_worker, share=share, actor=actor, now=now)
        yield lock, StaticWorker(lock.write(claim))


def _share_out(archive: Archive, share: Share) -> None:
    """Give up another layout of workers; LockHeld while one of them is still at work.

    Of several new workers that begin at once one does it, and the others see that it is done.
    """
    config = archive.config
    deadline = time.monotonic() + REGISTERING_S
    while (other := find_other_layout(config, share)) is not None:
        try:
            with hold_lock(config, "workers begin") as lock:
                now = datetime.now(UTC)
                lock.write(partial(change_layout, share=share, actor=archive.actor, now=now))
        except LockHeld as exc:
            if time.monotonic() >= deadline:
                raise LockHeld(
                    "workers of another shards_total may still be at work",
                    hint="stop all of them; then the archive can be shared out anew",
                    mine=share.layout,
                    theirs=other,
                    holder=exc.facts.get("holder"),
                ) from exc
            time.sleep(POLL_S)
