"""What a worker does with its tasks: rows of one (day, bucket) in, published shards out.

The same rows make the same bytes, whoever packs them and in whatever order they came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Self

from des_core.packer_planner import MIB, PackerConfig
from des_core.packing.big_file_store import BigFileStore
from des_core.packing.draft_check import DraftCheck
from des_core.packing.part_writer import PackingTools, PartWriter, Tally
from des_core.packing.present_shards import PresentShards
from des_core.packing.row_groups import take_bites
from des_core.packing.shard_draft import ShardDraft
from des_core.packing.tasks import ShardTask, TaskOutcome, plan_rows
from des_core.records import SourceRow
from des_core.shard_io import (
    Codec,
    Compression,
    PayloadEncoder,
)
from des_core.shard_io.dictionaries import Dictionary
from des_core.sources.files import SourceOpener
from des_core.sources.read_ahead import ReadAhead
from des_core.storage.companions import companions_of
from des_core.storage.dictionaries import load_dictionary
from des_core.storage.directory import Storage

# Shards whose fsync may be under way while the next is written. File systems commit
# them together, so a few at once cost little more than one.
UNSETTLED_SHARDS = 8
UNSETTLED_BYTES = 16 * MIB
SYNC_THREADS = 4
# Where publishing takes many milliseconds, drafts wait for it on disk, not in memory.
UNSETTLED_BYTES_APART = 64 * MIB


class TaskPacker:
    """Packs tasks one after another; a context manager, because it owns threads."""

    def __init__(
        self,
        config: PackerConfig,
        storage: Storage,
        sources: SourceOpener,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`check` is called before each file and each piece; what it raises ends the packing."""
        self._compression = Compression(
            Codec.NONE if config.codec == "none" else Codec.ZSTD, config.level
        )
        self._storage = storage
        self._sources, self._config = sources, config
        self._bigfiles = BigFileStore(storage, check)
        self._companions = companions_of(storage)
        self._tools = self._make_tools(None)
        self._tools_of: tuple[str | None, PackingTools] = (None, self._tools)
        self._reader = ReadAhead(
            sources,
            config.read_concurrency,
            check,
            remote_concurrency=config.object_store.requests_in_flight,
        )
        self._draft_check = DraftCheck()
        apart = storage.publishes_at_once
        self._syncer = ThreadPoolExecutor(apart or SYNC_THREADS, "sync-shard")
        self._max_unsettled = 2 * apart if apart else UNSETTLED_SHARDS
        self._max_unsettled_bytes = UNSETTLED_BYTES_APART if apart else UNSETTLED_BYTES
        self._unsettled: deque[tuple[ShardDraft, Tally]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Discard what is not published, end the threads."""
        self._discard_unsettled()
        self._reader.close()
        self._syncer.shutdown()

    def pack(self, tasks: Iterable[ShardTask]) -> list[TaskOutcome]:
        """Pack all, publish all; the outcomes in the order of the tasks.

        `DamagedShard` if an existing shard cannot be trusted, `StorageError` if the output fails.
        Then some shards may have been published; the same tasks find them there.
        """
        try:
            tallies = [self._pack_task(task) for task in tasks]
            self._settle(leave=0)
        except BaseException:
            self._discard_unsettled()
            raise
        finally:
            self._sources.release()
        return [tally.outcome() for tally in tallies]

    def _pack_task(self, task: ShardTask) -> Tally:
        tally = Tally()
        present = PresentShards(
            task, self._storage, self._companions, tally, self._sources, self._config
        )
        parts = PartWriter(task, self._tools_with(task.dictionary), tally)
        seen: set[str] = set()
        present.adopt()
        try:
            for bite in take_bites(task.rows, task.count):
                plan = plan_rows(present.leave_missing(bite), seen)
                tally.failures.extend(plan.failures)
                self._pack_rows(plan.rows, parts, tally)
            self._hand_over(parts.end(), tally)
        finally:
            parts.discard()
        return tally

    def _tools_with(self, dictionary: str | None) -> PackingTools:
        """Those of the last dictionary are kept: tasks come day by day."""
        if dictionary is None:
            return self._tools
        if dictionary != self._tools_of[0]:
            tools = self._make_tools(load_dictionary(self._storage, dictionary))
            self._tools_of = (dictionary, tools)
        return self._tools_of[1]

    def _make_tools(self, dictionary: Dictionary | None) -> PackingTools:
        encoder = PayloadEncoder(self._compression, dictionary)
        return PackingTools(self._config, self._storage, encoder, self._bigfiles)

    def _pack_rows(self, rows: list[SourceRow], parts: PartWriter, tally: Tally) -> None:
        with closing(self._reader.read(rows)) as contents:
            for some_rows, some_contents in contents:
                for finished in parts.add_many(some_rows, some_contents):
                    self._hand_over(finished, tally)

    def _hand_over(self, draft: ShardDraft | None, tally: Tally) -> None:
        """Let the shard, if there is one, become durable while the next one is written."""
        if draft is None:
            return
        last, its_tally = self._unsettled[-1] if self._unsettled else (None, None)
        self._unsettled.append((draft, tally))
        draft.finish(self._syncer, last if its_tally is tally else None)
        held_bytes = sum(draft.held_bytes for draft, _ in self._unsettled)
        self._settle(self._max_unsettled if held_bytes < self._max_unsettled_bytes else 1)

    def _settle(self, leave: int) -> None:
        while len(self._unsettled) > leave:
            draft, tally = self._unsettled[0]
            tally.shards.append(draft.settle(self._draft_check))
            self._unsettled.popleft()

    def _discard_unsettled(self) -> None:
        while self._unsettled:
            self._unsettled.popleft()[0].discard()
