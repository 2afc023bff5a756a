"""What earlier packings left in a task's place: files that need not be packed again.

A shard that the ledger lacks was published by a try that ended before its commit, or put there
by somebody else. It is checked as a whole, compared with the sources of its rows as far as these
can be read, and adopted. One that is damaged or has other bytes stops everything: nothing is
packed beside it.

A shard knows uids and not rows. Where uids repeat, what it has may be another row's file of the
same day: then the bytes decide. A file that cannot be read proves nothing, so its row stays, or
becomes, an exception.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from zlib import crc32

from des_core.basics.errors import DamagedShard, StorageError
from des_core.basics.routing import parse_shard_name
from des_core.packer_planner import PackerConfig
from des_core.packing.part_writer import Tally
from des_core.packing.shard_draft import record_of
from des_core.packing.tasks import ShardTask, packing_order
from des_core.records import FileFailure, Reason, SourceRow, fail
from des_core.shard_io import (
    Companions,
    ShardEntry,
    ShardReader,
    ShardStats,
    verify_shard,
)
from des_core.sources.files import SourceOpener
from des_core.sources.roots import SourceFailure
from des_core.storage.companions import open_listed
from des_core.storage.directory import Storage

# With adoption_check "sample", one row of so many is compared.
SAMPLED = 16


class PresentShards:
    """The existing shards of one task; counts what it finds in the tally."""

    def __init__(
        self,
        task: ShardTask,
        storage: Storage,
        companions: Companions,
        tally: Tally,
        sources: SourceOpener,
        config: PackerConfig,
    ) -> None:
        self._task = task
        self._storage = storage
        self._companions = companions
        self._tally = tally
        self._sources = sources
        self._uids_repeat = config.uids_repeat
        self._compares_all = config.adoption_check == "all"
        self._settled: set[str] = set()

    def adopt(self) -> None:
        """Check the shards that the ledger lacks, and count them in. `DamagedShard`."""
        if self._task.adopts:
            for name in self._task.existing:
                if name in self._task.unknown:
                    self._adopt(name)

    def leave_missing(self, rows: list[SourceRow]) -> list[SourceRow]:
        """The rows that are in no shard yet. `DamagedShard` if that cannot be told.

        Of several rows with one uid, the first whose file it can be has what the shard has.
        """
        if not self._task.existing:
            return rows
        rows = sorted(rows, key=packing_order)
        for name in self._task.existing:
            with self._open(name) as reader:
                found = reader.find_many([row[0] for row in rows])
                if found:
                    rows = [
                        row for row in rows if not self._is_settled(row, found.get(row[0]), reader)
                    ]
        return rows

    def _is_settled(self, row: SourceRow, entry: ShardEntry | None, reader: ShardReader) -> bool:
        """Whether nothing is left to do for this row."""
        if entry is None:
            return False
        failure = self._fault(row, entry, reader)
        if failure is None:
            self._tally.present += 1
            self._settled.add(row.uid)
        else:
            self._tally.failures.append(failure)
        return True

    def _fault(self, row: SourceRow, entry: ShardEntry, reader: ShardReader) -> FileFailure | None:
        name = reader.name.rpartition("/")[2]
        if row.size_bytes not in (None, entry.size):
            error = f"{name} has it with {entry.size} bytes, its row says {row.size_bytes}"
            return fail(row, Reason.CHANGED, error)
        if row.uid in self._settled:
            return fail(row, Reason.DUPLICATE_UID, "another row of the same day has this uid")
        if not self._uids_repeat:
            if name in self._task.unknown:
                self._require_same(row, entry, reader)
            return None
        try:
            source = _digest_of_source(self._sources, row)
        except SourceFailure as failure:
            error = f"{failure.message}; {name} has a file under this uid, perhaps another row's"
            return fail(row, failure.reason, error)
        if source != _digest_of_entry(entry, reader):
            error = f"{name} has the file of another row under this uid"
            return fail(row, Reason.DUPLICATE_UID, error)
        return None

    def _require_same(self, row: SourceRow, entry: ShardEntry, reader: ShardReader) -> None:
        """DamagedShard where the source says otherwise; one that cannot be read says nothing."""
        if not self._compares_all and crc32(row.uid.encode("utf-8", "replace")) % SAMPLED:
            return
        try:
            source = _digest_of_source(self._sources, row)
        except SourceFailure:
            return
        if source != _digest_of_entry(entry, reader):
            raise DamagedShard(
                "a shard that the ledger does not know has other bytes than the source of a row",
                hint="is it damaged? des-admin verify --repair. Or was it put there, or the source "
                "changed after a run that was cut off? Then move the shard, and the manifest that "
                "names it, to _damaged/ in the output directory: its files are packed anew",
                shard=reader.name.rpartition("/")[2],
                uid=row.uid[:200],
            )

    def _adopt(self, name: str) -> None:
        parsed = parse_shard_name(name)
        if parsed is None:
            raise StorageError("not a shard's name", shard=name)
        tally = self._tally
        with self._open(name) as reader:
            found = verify_shard(reader)
            tally.dictionaries.update(found.dictionaries)
            if found.big_files:
                tally.bigfiles.extend(e.sha256 for e in reader.entries() if e.sha256)
        stats = ShardStats(
            found.files, found.big_files, found.content_bytes, found.size_bytes, found.sha256
        )
        tally.adopted.append(record_of((parsed.day, parsed.bucket, parsed.part), name, stats))

    def _open(self, name: str) -> ShardReader:
        return open_listed(self._storage, name, self._companions)


def _digest_of_source(sources: SourceOpener, row: SourceRow) -> str:
    """`SourceFailure` if the row's file cannot be read."""
    content = sources.read(row.location, row.size_bytes)
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with Path(os.devnull).open("wb") as nowhere:
        return content.copy_to(nowhere).sha256


def _digest_of_entry(entry: ShardEntry, reader: ShardReader) -> str:
    if entry.sha256 is not None:
        return entry.sha256
    digest = hashlib.sha256()
    for piece in reader.stream(entry):
        digest.update(piece)
    return digest.hexdigest()
