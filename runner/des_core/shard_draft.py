"""One shard from its first byte to its name, in this order:

1. a draft in the output directory, exclusive and locked;
2. payloads, index, footer;
3. fsync, while the next shard is being written; an error means that the draft is discarded;
4. the file is opened again and every entry is decoded and checked (`draft_check`);
5. it gets its name without replacing anything; equal bytes under that name are as good;
6. when all shards of the slice have got there, the parent makes the names durable
   (`Storage.sync_directory`), and only then comes the transaction with the ledger.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future
from datetime import date

from des_core.draft_check import DraftCheck
from des_core.errors import DamagedShard, StorageError
from des_core.packer_planner import PackerConfig, ShardRecord
from des_core.routing import shard_name
from des_core.shard_io import Codec, Compression, LocalBlob, ShardStats, ShardWriter
from des_core.storage import Storage


class ShardDraft:
    """A shard being written. Add files, `finish`, later `settle`; `discard` it on any error."""

    def __init__(
        self, storage: Storage, config: PackerConfig, day: date, bucket: int, part: int
    ) -> None:
        self._storage = storage
        self._place = (day, bucket, part)
        self.name = shard_name(day, bucket, part, config.n_bits)
        codec = Codec.NONE if config.codec == "none" else Codec.ZSTD
        self._draft = storage.create_draft()
        self._writer = ShardWriter(self._draft.file, Compression(codec, config.level))
        self._stats: ShardStats | None = None
        self._synced: Future[None] | None = None
        self.content_bytes = 0

    def add(self, uid: str, content: bytes, *, store_raw: bool) -> None:
        """Add a file. `StorageError` means that the shard is lost."""
        self._writer.add(uid, content, store_raw=store_raw)
        self.content_bytes += len(content)

    def add_big(self, uid: str, sha256: str, size: int) -> None:
        """Add a file whose content is stored as a big file already."""
        self._writer.add_bigfile(uid, sha256, size)

    def finish(self, syncer: Executor) -> None:
        """Write the index, and begin to make the shard durable."""
        self._stats = self._writer.finish()
        self._synced = syncer.submit(self._draft.sync)

    def settle(self, check: DraftCheck) -> ShardRecord:
        """Wait until it is durable, read it back, publish it."""
        if self._stats is None or self._synced is None:
            raise RuntimeError("the shard is not finished")
        self._synced.result()
        self._read_back(check, self._stats)
        self._storage.publish(self._draft, self.name)
        return record_of(self._place, self.name, self._stats)

    def discard(self) -> None:
        """Leave nothing behind; harmless after `settle`."""
        if self._synced is not None:
            self._synced.exception()
        self._draft.discard()

    def _read_back(self, check: DraftCheck, stats: ShardStats) -> None:
        blob = LocalBlob(self._draft.path)
        try:
            check.check(blob, stats)
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
