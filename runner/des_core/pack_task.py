"""What a worker does with its tasks: rows of one (day, bucket) in, published shards out.

The same rows make the same bytes, whoever packs them and in whatever order they came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Self

from des_core.big_file_store import BigFileStore
from des_core.draft_check import DraftCheck
from des_core.errors import StorageError
from des_core.packer_planner import (
    MIB,
    PackerConfig,
    Reason,
    ShardTask,
    SourceRow,
    TaskOutcome,
    fail,
    plan_rows,
)
from des_core.part_writer import PackingTools, PartWriter, Tally
from des_core.read_ahead import ReadAhead
from des_core.routing import parse_shard_name
from des_core.row_spool import decode_rows
from des_core.shard_draft import ShardDraft, record_of
from des_core.shard_io import (
    Codec,
    Compression,
    PayloadEncoder,
    ShardReader,
    open_shard,
    verify_shard,
)
from des_core.shard_io.writer import ShardStats
from des_core.source_files import SourceOpener
from des_core.storage import Storage

# Shards whose fsync may be under way while the next is written. File systems commit
# them together, so a few at once cost little more than one.
UNSETTLED_SHARDS = 8
UNSETTLED_BYTES = 16 * MIB
SYNC_THREADS = 4


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
        codec = Codec.NONE if config.codec == "none" else Codec.ZSTD
        encoder = PayloadEncoder(Compression(codec, config.level))
        self._storage = storage
        self._bigfiles = BigFileStore(storage, check)
        self._tools = PackingTools(config, storage, encoder, self._bigfiles)
        self._reader = ReadAhead(sources, config.read_concurrency, check)
        self._draft_check = DraftCheck()
        self._syncer = ThreadPoolExecutor(SYNC_THREADS, "sync-shard")
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
        return [tally.outcome() for tally in tallies]

    def _pack_task(self, task: ShardTask) -> Tally:
        plan = plan_rows(decode_rows(task.rows))
        tally = Tally(failures=plan.failures)
        rows = self._leave_present(task, plan.rows, tally) if task.existing else plan.rows
        parts = PartWriter(task, self._tools, tally)
        try:
            with closing(self._reader.read(rows)) as contents:
                for row, content in contents:
                    finished = parts.add(row, content)
                    if finished is not None:
                        self._hand_over(finished, tally)
            finished = parts.end()
            if finished is not None:
                self._hand_over(finished, tally)
        finally:
            parts.discard()
        return tally

    def _hand_over(self, draft: ShardDraft, tally: Tally) -> None:
        """Let the shard become durable while the next one is written."""
        self._unsettled.append((draft, tally))
        draft.finish(self._syncer)
        held_bytes = sum(draft.held_bytes for draft, _ in self._unsettled)
        self._settle(UNSETTLED_SHARDS if held_bytes < UNSETTLED_BYTES else 1)

    def _settle(self, leave: int) -> None:
        while len(self._unsettled) > leave:
            draft, tally = self._unsettled[0]
            tally.shards.append(draft.settle(self._draft_check))
            self._unsettled.popleft()

    def _discard_unsettled(self) -> None:
        while self._unsettled:
            self._unsettled.popleft()[0].discard()

    def _leave_present(
        self, task: ShardTask, rows: list[SourceRow], tally: Tally
    ) -> list[SourceRow]:
        """The rows that are in no shard yet."""
        for name in task.existing:
            with self._open_existing(name) as reader:
                if name in task.unknown:
                    _adopt(name, reader, tally)
                found = reader.find_many(row.uid for row in rows)
            missing = []
            for row in rows:
                entry = found.get(row.uid)
                if entry is None:
                    missing.append(row)
                elif row.size_bytes is None or row.size_bytes == entry.size:
                    tally.present += 1
                else:
                    error = f"{name} has it with {entry.size} bytes, its row says {row.size_bytes}"
                    tally.failures.append(fail(row, Reason.CHANGED, error))
            rows = missing
        return rows

    def _open_existing(self, name: str) -> ShardReader:
        try:
            return open_shard(self._storage.open(name), self._bigfiles)
        except FileNotFoundError as exc:
            raise StorageError("a shard that was listed is gone", shard=name) from exc


def _adopt(name: str, reader: ShardReader, tally: Tally) -> None:
    """Count in a shard that the ledger lacks, after checking all of it."""
    parsed = parse_shard_name(name)
    if parsed is None:
        raise StorageError("not a shard's name", shard=name)
    found = verify_shard(reader)
    stats = ShardStats(
        found.files, found.big_files, found.content_bytes, found.size_bytes, found.sha256
    )
    tally.adopted.append(record_of((parsed.day, parsed.bucket, parsed.part), name, stats))
    if found.big_files:
        tally.bigfiles.extend(entry.sha256 for entry in reader.entries() if entry.sha256)
