"""The DES shard format: write, read, find, verify. `docs/format.md` describes it to the byte."""

from des_core.shard_io.bigfiles import (
    BIG_FILES_DIR,
    BigFile,
    big_file_name,
    copy_hashed,
)
from des_core.shard_io.blobs import Blob, BytesBlob, LocalBlob
from des_core.shard_io.codecs import Compression, PayloadDecoder, PayloadEncoder
from des_core.shard_io.companions import Companions, directory_companions
from des_core.shard_io.layout import Codec, ShardEntry
from des_core.shard_io.reader import ShardReader, open_shard
from des_core.shard_io.verification import ShardCheck, verify_shard
from des_core.shard_io.writer import ShardStats, ShardWriter

__all__ = [
    "BIG_FILES_DIR",
    "BigFile",
    "Blob",
    "BytesBlob",
    "Codec",
    "Companions",
    "Compression",
    "LocalBlob",
    "PayloadDecoder",
    "PayloadEncoder",
    "ShardCheck",
    "ShardEntry",
    "ShardReader",
    "ShardStats",
    "ShardWriter",
    "big_file_name",
    "copy_hashed",
    "directory_companions",
    "open_shard",
    "verify_shard",
]
