"""A task that kills every worker that tries it: its files become exceptions, and the run goes on.

Before it died, a worker may have published parts of the task. They are checked and adopted, so
that a file is either packed or an exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from des_core.basics.routing import order_parts
from des_core.packer_planner import PackerConfig
from des_core.packing.pack_task import TaskPacker
from des_core.packing.tasks import ShardTask, TaskOutcome, is_part_of_chunk
from des_core.records import Reason, SourceRow
from des_core.sources.files import Content
from des_core.sources.roots import SourceFailure
from des_core.storage.directory import Storage


class _NoSources:
    """Every file fails for the same reason; none is opened."""

    def __init__(self, error: str) -> None:
        self._error = error

    def read(self, location: str | None, size_bytes: int | None) -> bytes:
        raise SourceFailure(Reason.WORKER_KILLED, self._error)

    def read_some(self, rows: Sequence[SourceRow], max_bytes: int) -> list[Content]:
        return [SourceFailure(Reason.WORKER_KILLED, self._error) for _ in rows]

    def release(self) -> None:
        """Nothing is held."""


def fail_unpacked(
    task: ShardTask, config: PackerConfig, storage: Storage, error: str
) -> TaskOutcome:
    """What of the task is in shards, as packed; everything else as failed."""
    sources = _NoSources(f"the worker that packed it was killed, again and again: {error}")
    with TaskPacker(replace(config, read_concurrency=1), storage, sources) as packer:
        return packer.pack([_as_it_is_now(task, storage)])[0]


def _as_it_is_now(task: ShardTask, storage: Storage) -> ShardTask:
    listed = storage.list_shards({task.day}).get((task.day, task.bucket), ())
    ours = {name for name in listed if name not in task.existing and is_part_of_chunk(name, task)}
    unknown = ours | (task.unknown if task.adopts else frozenset())
    existing = order_parts([*task.existing, *ours])
    return replace(task, existing=existing, unknown=frozenset(unknown), adopts=True)
