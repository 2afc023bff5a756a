"""Packs the tasks of a slice with all cores; outcomes come in the order of the tasks.

A batch of tasks is the unit of work: large enough to be worth a message and to let one
shard's fsync overlap with the next shard, small enough to keep all workers busy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from types import TracebackType
from typing import Self

from des_core.basics.errors import DesError, Interrupted
from des_core.packer_planner import MIB, PackerConfig
from des_core.packing.pack_task import TaskPacker
from des_core.packing.pack_worker import Batch, WorkerSetup
from des_core.packing.tasks import ShardTask, TaskOutcome
from des_core.packing.worker_pool import Engine, Promise, WorkerPool
from des_core.process.processors import usable_processors
from des_core.sources.mixed import MixedSources
from des_core.storage.directory import open_storage
from des_core.storage.drafts import new_run_id

BATCH_ROW_BYTES = 256 << 10
BATCH_CONTENT_BYTES = 16 * MIB
BATCH_TASKS = 64
# Encoded rows that wait for a worker or for their turn.
BYTES_IN_FLIGHT = 32 * MIB
# A slice that one process packs about as fast as several, their start and messages counted.
FEW_ROWS = 500
FEW_CONTENT_BYTES = 8 * MIB


class Packer:
    """Owns the workers; a context manager. With one worker, it packs in this process.

    Where their number is not said, a slice of few files is packed here, too: most cycles have no
    other, and end before workers would have started.
    With `config.scheduler`, the workers are those of a Dask cluster.

    `storage` is where shards go; `run_id` marks the drafts of this run.
    """

    def __init__(
        self,
        config: PackerConfig,
        *,
        run_id: str | None = None,
    ) -> None:
        self._cancelled: DesError | None = None
        self.run_id = run_id or new_run_id()
        self.config = config
        self.storage = open_storage(config, self.run_id, self._check)
        self._workers = config.workers or usable_processors()
        self._engine: Engine | None = None
        self._here: TaskPacker | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._close_here()
            self._stop_engine()

    def prepare(self) -> None:
        """Start the workers, so that they are ready when the tasks are."""
        if self._workers > 1 and self.config.scheduler is None:
            self._started_engine().prepare()

    def pack(
        self, tasks: Iterable[ShardTask], rows: int | None = None, content_bytes: int = 0
    ) -> Iterator[TaskOutcome]:
        """Pack and publish; each outcome after its shards are published, but see
        `storage.sync_directory`, which comes before they may be recorded.

        `rows` says how many the tasks have, if that is known, and `content_bytes` of how much.

        `DamagedShard`, `StorageError`, `WorkerDied`, or what `cancel` was told. After an error
        some shards may have been published: packing the same rows again finds them.
        """
        are_few = rows is not None and rows <= FEW_ROWS and content_bytes <= FEW_CONTENT_BYTES
        if self.config.scheduler is None and (
            self._workers == 1 or (are_few and self.config.workers is None)
        ):
            return self._pack_here(tasks)
        return self._pack_in_engine(tasks)

    def cancel(self, error: DesError | None = None) -> None:
        """Stop within a moment, for good; `pack` raises the error. Safe from any thread."""
        self._cancelled = error or Interrupted("packing was interrupted", hint="run it again")
        engine = self._engine
        if engine is not None:
            engine.interrupt()

    def close(self) -> None:
        """Let the workers finish and end."""
        self._close_here()
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _pack_here(self, tasks: Iterable[ShardTask]) -> Iterator[TaskOutcome]:
        if self._here is None:
            sources = MixedSources(self.config, self._check)
            self._here = TaskPacker(self.config, self.storage, sources, self._check)
        for batch in make_batches(tasks, 1):
            yield from self._here.pack(batch)

    def _pack_in_engine(self, tasks: Iterable[ShardTask]) -> Iterator[TaskOutcome]:
        self._check()
        engine = self._started_engine()
        try:
            yield from self._run_batches(engine, make_batches(tasks, engine.slots))
        except BaseException as exc:
            self._stop_engine()
            if self._cancelled is not None and isinstance(exc, (DesError, CancelledError)):
                raise self._cancelled from exc
            raise

    def _started_engine(self) -> Engine:
        if self._engine is None:
            self._engine = _start_engine(WorkerSetup(self.config, self.run_id), self._workers)
        return self._engine

    def _run_batches(self, engine: Engine, batches: Iterator[Batch]) -> Iterator[TaskOutcome]:
        """Keep two batches per slot under way, fewer if their rows take much memory."""
        waiting: deque[tuple[Promise, int]] = deque()
        bytes_in_flight = 0
        for batch in batches:
            self._check()
            size = sum(len(task.rows) for task in batch)
            while len(waiting) >= 2 * engine.slots or (
                len(waiting) >= engine.slots and bytes_in_flight + size > BYTES_IN_FLIGHT
            ):
                future, done_size = waiting.popleft()
                yield from future.result()
                bytes_in_flight -= done_size
            waiting.append((engine.submit(batch), size))
            bytes_in_flight += size
        while waiting:
            yield from waiting.popleft()[0].result()

    def _close_here(self) -> None:
        if self._here is not None:
            self._here.close()
            self._here = None

    def _check(self) -> None:
        if self._cancelled is not None:
            raise self._cancelled

    def _stop_engine(self) -> None:
        """Kill the workers and remove their drafts; what they published stays."""
        if self._engine is not None:
            self._engine.kill()
            self._engine = None
            with suppress(DesError):
                self.storage.clean_leftovers(self.run_id)


def _start_engine(setup: WorkerSetup, workers: int) -> Engine:
    if setup.config.scheduler is None:
        return WorkerPool(setup, workers)
    from des_core.packing.dask_engine import DaskEngine

    return DaskEngine(setup, setup.config.scheduler)


def make_batches(tasks: Iterable[ShardTask], workers: int) -> Iterator[Batch]:
    """Neighbouring tasks together, none of them reordered.

    With several workers the first ones are small, so that all have work when there are few tasks.
    """
    batch: Batch = []
    made = row_bytes = content_bytes = 0
    for task in tasks:
        batch.append(task)
        row_bytes += len(task.rows)
        content_bytes += task.content_bytes
        most_tasks = BATCH_TASKS if workers == 1 else min(BATCH_TASKS, 1 + made // workers)
        if (
            len(batch) >= most_tasks
            or row_bytes >= BATCH_ROW_BYTES
            or content_bytes >= BATCH_CONTENT_BYTES
        ):
            yield batch
            made += 1
            batch, row_bytes, content_bytes = [], 0, 0
    if batch:
        yield batch
