"""Fills the shards of one task: part after part, each up to the size that is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from des_core.basics.routing import shard_name
from des_core.packer_planner import PackerConfig
from des_core.packing.big_file_store import BigFileStore
from des_core.packing.shard_draft import ShardDraft
from des_core.packing.tasks import ShardTask, TaskOutcome, next_part
from des_core.records import FileFailure, ShardRecord, SourceRow, fail
from des_core.shard_io import PayloadEncoder
from des_core.sources.files import BigSource, Content
from des_core.sources.roots import SourceFailure
from des_core.storage.directory import Storage

# Files that are written to the shard together.
PENDING_FILES = 64
PENDING_BYTES = 512 << 10


@dataclass(slots=True)
class Tally:
    """A `TaskOutcome` in the making."""

    shards: list[ShardRecord] = field(default_factory=list)
    adopted: list[ShardRecord] = field(default_factory=list)
    failures: list[FileFailure] = field(default_factory=list)
    bigfiles: list[str] = field(default_factory=list)
    dictionaries: set[str] = field(default_factory=set)
    present: int = 0
    packed: int = 0
    bytes_in: int = 0

    def outcome(self) -> TaskOutcome:
        """The finished value."""
        return TaskOutcome(
            shards=tuple(self.shards),
            adopted=tuple(self.adopted),
            files_out=self.present + self.packed,
            files_present=self.present,
            bytes_in=self.bytes_in,
            failures=tuple(self.failures),
            bigfiles=tuple(self.bigfiles),
            dictionaries=tuple(sorted(self.dictionaries)),
        )


@dataclass(frozen=True, slots=True)
class PackingTools:
    """What all tasks of a worker share; the encoder is used by one thread only."""

    config: PackerConfig
    storage: Storage
    encoder: PayloadEncoder
    bigfiles: BigFileStore


class PartWriter:
    """Add rows with their content in the order of packing; counts them in the tally.

    `add_many` and `end` hand out each shard that is complete; whoever gets it sees to its end.
    """

    def __init__(self, task: ShardTask, tools: PackingTools, tally: Tally) -> None:
        self._task = task
        self._tools = tools
        self._config = tools.config
        self._tally = tally
        self._part = next_part(task)
        self._draft: ShardDraft | None = None
        self._content_bytes = 0
        self._pending_rows: list[SourceRow] = []
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    def add_many(
        self, rows: Sequence[SourceRow], contents: Sequence[Content]
    ) -> Iterator[ShardDraft]:
        """Pack files, or count why not; hands out the shards before those that they begin."""
        if set(map(type, contents)) == {bytes}:
            payloads = cast("Sequence[bytes]", contents)
            size = sum(map(len, payloads))
            if self._content_bytes + size <= self._config.max_shard_size:
                self._take(rows, payloads, size)
                return
        for row, content in zip(rows, contents, strict=True):
            if not isinstance(content, bytes):
                self._add_other(row, content)
                continue
            size = len(content)
            if self._content_bytes and self._content_bytes + size > self._config.max_shard_size:
                finished = self.end()
                if finished is not None:
                    yield finished
            self._take((row,), (content,), size)

    def end(self) -> ShardDraft | None:
        """The last shard, unless nothing was packed since."""
        self._write_pending()
        draft, self._draft = self._draft, None
        self._content_bytes = 0
        return draft

    def discard(self) -> None:
        """Remove a shard that is not complete."""
        if self._draft is not None:
            self._draft.discard()
            self._draft = None

    def _take(self, rows: Sequence[SourceRow], payloads: Sequence[bytes], size: int) -> None:
        """Files for the shard that is being written."""
        self._pending_rows += rows
        self._pending += payloads
        self._content_bytes += size
        self._pending_bytes += size
        if self._pending_bytes >= PENDING_BYTES or len(self._pending) >= PENDING_FILES:
            self._write_pending()

    def _write_pending(self) -> None:
        rows, payloads = self._pending_rows, self._pending
        if not rows:
            return
        skip = self._config.skip_extensions
        locations = [row[2] or "" for row in rows]
        raw = [location[location.rfind(".") + 1 :].lower() in skip for location in locations]
        self._open_draft().add_many([row[0] for row in rows], payloads, raw)
        self._tally.packed += len(rows)
        self._tally.bytes_in += self._pending_bytes
        self._pending_rows, self._pending, self._pending_bytes = [], [], 0

    def _open_draft(self) -> ShardDraft:
        if self._draft is None:
            task, part = self._task, self._part
            name = shard_name(task.day, task.bucket, part, self._config.n_bits)
            place = (task.day, task.bucket, part)
            self._draft = ShardDraft(self._tools.storage, self._tools.encoder, name, place)
            self._part += task.chunks
            if task.dictionary is not None:
                self._tally.dictionaries.add(task.dictionary)
        return self._draft

    def _add_other(self, row: SourceRow, content: SourceFailure | BigSource) -> None:
        if isinstance(content, SourceFailure):
            self._count_failure(row, content)
        else:
            self._add_big(row, content)

    def _add_big(self, row: SourceRow, source: BigSource) -> None:
        try:
            big = self._tools.bigfiles.store(source)
        except SourceFailure as failure:
            self._count_failure(row, failure)
            return
        self._write_pending()
        self._open_draft().add_big(row.uid, big.sha256, big.size)
        self._tally.bigfiles.append(big.sha256)
        self._tally.packed += 1
        self._tally.bytes_in += big.size

    def _count_failure(self, row: SourceRow, failure: SourceFailure) -> None:
        self._tally.failures.append(fail(row, failure.reason, failure.message))
