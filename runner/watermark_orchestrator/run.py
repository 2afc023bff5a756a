"""A run: the lock, the fence, the workers, and a way to stop."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from des_core.errors import UsageError
from des_core.lock import Lock, hold_lock
from des_core.logs import bind
from des_core.metrics import NoMetrics, RunnerMetrics
from des_core.packer import Packer
from des_core.watermark import Watermark, take_fence
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.progress_events import ProgressSink
from watermark_orchestrator.stopping import StopRequest


@dataclass(frozen=True)
class Run:
    """A run that holds the lock and the fence, with its pool of workers."""

    archive: Archive
    packer: Packer
    lock: Lock
    run_id: str
    stop: StopRequest
    progress: ProgressSink
    metrics: RunnerMetrics


@contextmanager
def open_run(
    archive: Archive,
    stop: StopRequest,
    progress: ProgressSink,
    purpose: str,
    metrics: RunnerMetrics | None = None,
) -> Iterator[tuple[Run, Watermark]]:
    """Lock, fence, clean what a dead run left, start the workers."""
    _refuse_static_workers(archive)
    archive.storage.probe_writable()
    with hold_lock(archive.config, purpose) as lock:
        watermark = take_fence(archive.config)
        archive.storage.clean_leftovers()
        with (
            Packer(archive.packer_config) as packer,
            stop.on_stop(lambda: packer.cancel(stop.error())),
        ):
            run_id = uuid.uuid4().hex
            with bind(run_id=run_id, worker=archive.source.settings.shard_id or 0):
                run = Run(archive, packer, lock, run_id, stop, progress, metrics or NoMetrics())
                yield run, watermark


def _refuse_static_workers(archive: Archive) -> None:
    if (archive.source.settings.shards_total or 1) > 1:
        raise UsageError(
            "shards_total above 1 is not supported by this version",
            hint="leave database.shard_id and database.shards_total out; one runner uses all cores",
            key="database.shards_total",
        )
