"""What the tasks of a slice came to, made durable: by the cycle and by per-record mode alike.

1. A shard that was found there, and is not what its manifest says, ends the slice.
2. The directory is synced, so that the names of the shards are durable, and of their big files.
3. The manifest is published, and its name synced too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from des_core.basics.errors import DamagedShard
from des_core.packing.tasks import TaskOutcome
from des_core.records import FileFailure, ShardRecord
from des_core.shard_io.bigfiles import BIG_FILES_DIR
from des_core.storage.directory import Storage
from des_core.storage.layout import MANIFESTS_DIR, OUTPUT
from des_core.storage.manifests import SliceManifest, claimed_hashes, write_manifest
from watermark_orchestrator.slices import Window


@dataclass(slots=True)
class Tally:
    """What the tasks of a slice came to so far."""

    rows: int
    new: list[ShardRecord] = field(default_factory=list)
    adopted: list[ShardRecord] = field(default_factory=list)
    failures: list[FileFailure] = field(default_factory=list)
    bigfiles: list[str] = field(default_factory=list)
    dictionaries: set[str] = field(default_factory=set)
    files_out: int = 0
    files_present: int = 0
    bytes_in: int = 0

    @property
    def shards(self) -> tuple[ShardRecord, ...]:
        """Those that the rows are in, found there or new."""
        return (*self.adopted, *self.new)

    def add(self, outcome: TaskOutcome) -> None:
        self.new += outcome.shards
        self.adopted += outcome.adopted
        self.failures += outcome.failures
        self.bigfiles += outcome.bigfiles
        self.dictionaries.update(outcome.dictionaries)
        self.files_out += outcome.files_out
        self.files_present += outcome.files_present
        self.bytes_in += outcome.bytes_in


def make_durable(
    storage: Storage, tally: Tally, kind: str, window: Window, *, n_bits: int, worker: int = 0
) -> None:
    """Let the shards and their manifest outlast a crash; only then may anybody record them."""
    _require_as_claimed(storage, tally.adopted)
    if tally.rows:
        storage.sync_directory(OUTPUT, *([BIG_FILES_DIR] if tally.bigfiles else []))
    if not tally.shards:
        return
    manifest = SliceManifest(
        window_start=window.start,
        window_end=window.end,
        n_bits=n_bits,
        shards=tally.shards,
        bigfiles=tuple(tally.bigfiles),
        dictionaries=tuple(sorted(tally.dictionaries)),
        kind=kind,
    )
    write_manifest(storage, manifest, worker=worker)
    storage.sync_directory(MANIFESTS_DIR)


def _require_as_claimed(storage: Storage, adopted: list[ShardRecord]) -> None:
    """A shard that a manifest knows is recorded as it was packed, or not at all."""
    claims = claimed_hashes(storage, [shard.name for shard in adopted])
    for shard in adopted:
        if shard.sha256 not in claims.get(shard.name, {shard.sha256}):
            raise DamagedShard(
                "a shard is not what its manifest says; it was not recorded",
                hint="repair it: des-admin verify --repair",
                shard=shard.name,
                sha256=shard.sha256,
            )
