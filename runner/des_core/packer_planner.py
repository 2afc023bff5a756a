"""`PackerConfig`, for scripts: what shards are made like and where they go.

Worker processes import this module, so it stays light.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from des_core.basics.errors import UsageError
from des_core.basics.object_config import ObjectStoreConfig
from des_core.basics.routing import (
    bucket_count,
)

MIB = 1 << 20
ALREADY_COMPRESSED = frozenset(
    {
        *("7z", "avif", "bz2", "docx", "flac", "gif", "gz", "heic", "jpeg", "jpg", "lz4", "m4a"),
        *("mkv", "mov", "mp3", "mp4", "ogg", "opus", "png", "pptx", "rar", "tgz", "webm", "webp"),
        *("woff2", "xlsx", "xz", "zip", "zst"),
    }
)


@dataclass(frozen=True, slots=True)
class PackerConfig:
    """What shards are made like and where they go. Sizes in bytes; `workers` None means all cores,
    for more than a few files.

    `read_concurrency` bounds the reads in flight per worker when sources turn out to be slow.
    `output_dir` may be a URL of an object store; drafts then go to `scratch_dir`. With the address
    of a Dask `scheduler`, its workers pack instead of processes of ours; one on another machine
    wants TLS, unless `scheduler_without_tls`.
    Nothing in `own_places` is taken for a source: the output, backups, databases, configuration.
    `adoption_check` says of how many rows of a shard that the ledger lacks the source is compared
    before it is adopted: `all`, or a `sample`.
    `uids_repeat` where nothing keeps two rows from having one uid: what a shard has under a uid is
    then taken for a row's file only if the bytes agree.
    With `dictionary`, the small files of a slice are compressed with what they have in common.
    """

    output_dir: str
    n_bits: int = 8
    max_shard_size: int = 1_000_000_000
    codec: str = "zstd"
    level: int = 3
    big_file_threshold: int = 10 * MIB
    skip_extensions: frozenset[str] = ALREADY_COMPRESSED
    source_roots: tuple[str, ...] = ()
    own_places: tuple[str, ...] = ()
    workers: int | None = None
    read_concurrency: int = 64
    scratch_dir: str | None = None
    object_store: ObjectStoreConfig = field(default_factory=ObjectStoreConfig)
    uids_repeat: bool = False
    adoption_check: str = "all"
    dictionary: bool = False
    scheduler: str | None = None
    scheduler_without_tls: bool = False

    def __post_init__(self) -> None:
        bucket_count(self.n_bits)
        if self.codec not in ("zstd", "none"):
            raise UsageError("shards are written with codec zstd or none", codec=self.codec)
        for name in ("max_shard_size", "big_file_threshold", "read_concurrency"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1", value=getattr(self, name))
        if self.workers is not None and self.workers < 1:
            raise UsageError("workers must be at least 1", value=self.workers)
