"""One shard from its first byte to its name, in this order:

1. a draft in the output directory, exclusive and locked;
2. payloads, index, footer;
3. fsync, while the next shard is being written; an error means that the draft is discarded;
   where publishing takes long (an object store), steps 4 and 5 happen then and there too, a part
   after the part before it;
4. the file is opened again and every entry is decoded and checked (`draft_check`);
5. the names of its big files are made durable; then it gets its own, without replacing anything;
   equal bytes under that name are as good;
6. when all shards of the slice have got there, the parent makes the names durable
   (`Storage.sync_directory`), and only then comes the transaction with the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from datetime import date

from des_core.basics.errors import DamagedShard, StorageError
from des_core.packing.draft_check import DraftCheck
from des_core.records import ShardRecord
from des_core.shard_io import LocalBlob, PayloadEncoder, ShardStats, ShardWriter
from des_core.shard_io.bigfiles import BIG_FILES_DIR
from des_core.storage.directory import Storage
from des_core.storage.layout import OUTPUT


class ShardDraft:
    """A shard being written. Add files, `finish`, later `settle`; `discard` it on any error."""

    def __init__(
        self, storage: Storage, encoder: PayloadEncoder, name: str, place: tuple[date, int, int]
    ) -> None:
        """`place` is (day, bucket, part), which `name` says too."""
        self._storage = storage
        self._place = place
        self.name = name
        self._draft = storage.create_draft()
        self._dictionary = encoder.dictionary
        self._writer = ShardWriter(self._draft.file, encoder=encoder, path=self._draft.path)
        self._stats: ShardStats | None = None
        self._synced: Future[None] | None = None
        self._is_published = False

    def add_many(
        self, uids: Sequence[str], contents: Sequence[bytes], store_raw: Sequence[bool]
    ) -> None:
        """Add files. `StorageError`: the shard is lost."""
        self._writer.add_many(uids, contents, store_raw)

    def add_big(self, uid: str, sha256: str, size: int) -> None:
        """Add a file whose content is stored as a big file already."""
        self._writer.add_bigfile(uid, sha256, size)

    @property
    def held_bytes(self) -> int:
        """What it holds in memory until it is settled."""
        return len(self._writer.whole or b"")

    def finish(self, syncer: Executor, before: ShardDraft | None = None) -> None:
        """Write the index, and begin to make the shard durable; `before` is the part before it."""
        self._stats = self._writer.finish()
        if self._storage.publishes_at_once is None:
            self._synced = syncer.submit(self._draft.sync)
        else:
            self._synced = syncer.submit(self._publish_after, before)

    def settle(self, check: DraftCheck) -> ShardRecord:
        """Wait until it is durable, read it back, publish it."""
        if self._stats is None or self._synced is None:
            raise RuntimeError("the shard is not finished")
        self._synced.result()
        if not self._is_published:
            self._publish(check)
        return record_of(self._place, self.name, self._stats)

    def discard(self) -> None:
        """Leave nothing behind; harmless after `settle`."""
        if self._synced is not None and not self._synced.cancel():
            self._synced.exception()
        self._draft.discard()

    def _publish_after(self, before: ShardDraft | None) -> None:
        """In a thread of its own. The part before was begun earlier, so nobody waits for ever."""
        if before is not None and before._synced is not None:
            before._synced.result()
        self._draft.sync()
        self._publish(DraftCheck())

    def _publish(self, check: DraftCheck) -> None:
        if self._stats is None:
            raise RuntimeError("the shard is not finished")
        self._read_back(check, self._stats)
        if self._stats.big_files:
            # A power cut must not leave the shard's name without those that it refers to.
            self._storage.sync_directory(OUTPUT, BIG_FILES_DIR)
        self._storage.publish(self._draft, self.name)
        self._is_published = True

    def _read_back(self, check: DraftCheck, stats: ShardStats) -> None:
        blob = LocalBlob(self._draft.path)
        try:
            check.check(blob, stats, self._writer.whole, self._dictionary)
        except DamagedShard as exc:
            raise StorageError(
                "a shard did not read back as it was written; it was not published",
                hint="look at the kernel's log and the device before running again",
                shard=self.name,
                reason=exc,
            ) from exc
        finally:
            blob.close()


def record_of(place: tuple[date, int, int], name: str, stats: ShardStats) -> ShardRecord:
    """What the ledger is to know of a shard."""
    return ShardRecord(
        name=name,
        day=place[0],
        bucket=place[1],
        part=place[2],
        files=stats.files,
        content_bytes=stats.content_bytes,
        size_bytes=stats.size_bytes,
        sha256=stats.sha256,
    )
