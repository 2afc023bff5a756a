"""What earlier packings left in a task's place: files that need not be packed again.

A shard that the ledger lacks was published by a try that ended before its commit. It is checked
as a whole and adopted. A damaged one stops everything: nothing is packed beside it.
"""

from __future__ import annotations

from des_core.big_file_store import BigFileStore
from des_core.errors import StorageError
from des_core.packer_planner import Reason, ShardTask, SourceRow, fail
from des_core.part_writer import Tally
from des_core.routing import parse_shard_name
from des_core.shard_draft import record_of
from des_core.shard_io import ShardEntry, ShardReader, ShardStats, open_shard, verify_shard
from des_core.storage import Storage


class PresentShards:
    """The existing shards of one task; counts what it finds in the tally."""

    def __init__(
        self, task: ShardTask, storage: Storage, bigfiles: BigFileStore, tally: Tally
    ) -> None:
        self._task = task
        self._storage = storage
        self._bigfiles = bigfiles
        self._tally = tally

    def adopt(self) -> None:
        """Check the shards that the ledger lacks, and count them in. `DamagedShard`."""
        if self._task.adopts:
            for name in self._task.existing:
                if name in self._task.unknown:
                    self._adopt(name)

    def leave_missing(self, rows: list[SourceRow]) -> list[SourceRow]:
        """The rows that are in no shard yet. `DamagedShard` if that cannot be told."""
        for name in self._task.existing:
            with self._open(name) as reader:
                found = reader.find_many([row[0] for row in rows])
            if found:
                rows = [row for row in rows if not self._is_settled(row, found.get(row[0]), name)]
        return rows

    def _is_settled(self, row: SourceRow, entry: ShardEntry | None, name: str) -> bool:
        """Whether nothing is left to do for this row."""
        if entry is None:
            return False
        if row.size_bytes is None or row.size_bytes == entry.size:
            self._tally.present += 1
        else:
            error = f"{name} has it with {entry.size} bytes, its row says {row.size_bytes}"
            self._tally.failures.append(fail(row, Reason.CHANGED, error))
        return True

    def _adopt(self, name: str) -> None:
        parsed = parse_shard_name(name)
        if parsed is None:
            raise StorageError("not a shard's name", shard=name)
        tally = self._tally
        with self._open(name) as reader:
            found = verify_shard(reader)
            if found.big_files:
                tally.bigfiles.extend(e.sha256 for e in reader.entries() if e.sha256)
        stats = ShardStats(
            found.files, found.big_files, found.content_bytes, found.size_bytes, found.sha256
        )
        tally.adopted.append(record_of((parsed.day, parsed.bucket, parsed.part), name, stats))

    def _open(self, name: str) -> ShardReader:
        try:
            return open_shard(self._storage.open(name), self._bigfiles)
        except FileNotFoundError as exc:
            raise StorageError("a shard that was listed is gone", shard=name) from exc
