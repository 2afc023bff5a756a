"""Fills the shards of one task: part after part, each up to the size that is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field

from des_core.big_file_store import BigFileStore
from des_core.packer_planner import (
    FileFailure,
    PackerConfig,
    ShardRecord,
    ShardTask,
    SourceRow,
    TaskOutcome,
    fail,
    next_part,
)
from des_core.read_ahead import Content
from des_core.shard_draft import ShardDraft
from des_core.source_files import BigSource
from des_core.source_roots import SourceFailure
from des_core.storage import Storage


@dataclass(slots=True)
class Tally:
    """A `TaskOutcome` in the making."""

    shards: list[ShardRecord] = field(default_factory=list)
    adopted: list[ShardRecord] = field(default_factory=list)
    failures: list[FileFailure] = field(default_factory=list)
    bigfiles: list[str] = field(default_factory=list)
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
        )


class PartWriter:
    """Add rows with their content in the order of packing; counts them in the tally.

    `add` and `end` hand out each shard that is complete; whoever gets it sees to its end.
    """

    def __init__(
        self,
        task: ShardTask,
        config: PackerConfig,
        storage: Storage,
        bigfiles: BigFileStore,
        tally: Tally,
    ) -> None:
        self._task = task
        self._config = config
        self._storage = storage
        self._bigfiles = bigfiles
        self._tally = tally
        self._part = next_part(task.existing)
        self._draft: ShardDraft | None = None

    def add(self, row: SourceRow, content: Content) -> ShardDraft | None:
        """Pack one file, or count why not; the shard before, if this file begins a new one."""
        if isinstance(content, bytes):
            finished = self._turn_page(len(content))
            store_raw = _extension(row[2]) in self._config.skip_extensions
            self._open_draft().add(row[0], content, store_raw=store_raw)
            self._tally.packed += 1
            self._tally.bytes_in += len(content)
            return finished
        if isinstance(content, SourceFailure):
            self._count_failure(row, content)
        else:
            self._add_big(row, content)
        return None

    def end(self) -> ShardDraft | None:
        """The last shard, unless nothing was packed since."""
        draft, self._draft = self._draft, None
        return draft

    def discard(self) -> None:
        """Remove a shard that is not complete."""
        if self._draft is not None:
            self._draft.discard()
            self._draft = None

    def _turn_page(self, size: int) -> ShardDraft | None:
        draft = self._draft
        if draft is None or not draft.content_bytes:
            return None
        if draft.content_bytes + size <= self._config.max_shard_size:
            return None
        self._draft = None
        return draft

    def _open_draft(self) -> ShardDraft:
        if self._draft is None:
            task = self._task
            self._draft = ShardDraft(self._storage, self._config, task.day, task.bucket, self._part)
            self._part += 1
        return self._draft

    def _add_big(self, row: SourceRow, source: BigSource) -> None:
        try:
            big = self._bigfiles.store(source)
        except SourceFailure as failure:
            self._count_failure(row, failure)
            return
        self._open_draft().add_big(row.uid, big.sha256, big.size)
        self._tally.bigfiles.append(big.sha256)
        self._tally.packed += 1
        self._tally.bytes_in += big.size

    def _count_failure(self, row: SourceRow, failure: SourceFailure) -> None:
        self._tally.failures.append(fail(row, failure.reason, failure.message))


def _extension(location: str | None) -> str:
    return (location or "").rpartition(".")[2].lower()
