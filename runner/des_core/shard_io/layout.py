"""The bytes of a shard: constants, record shapes, and what one index entry says.

`docs/format.md` describes the same in prose. All integers are little-endian.
"""

from __future__ import annotations

import json
import re
from enum import IntEnum
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from des_core.basics.errors import DamagedShard

HEADER_MAGIC = b"DES2"
FOOTER_MAGIC = b"DESI"
WRITTEN_VERSION = 2
READ_VERSIONS = (1, 2)
HEADER_SIZE = 8
FOOTER_SIZE = 12
COUNT_SIZE = 4

HEADER = Struct("<4sB3s")
FOOTER = Struct("<4sQ")
U16 = Struct("<H")
U32 = Struct("<I")
# offset, length, codec, compressed_size, uncompressed_size
PLAIN_V1 = Struct("<QQBQQ")
# flags, then as version 1, then meta_len
PLAIN_V2 = Struct("<BQQBQQI")
# flags, hash_len, sha256 in hex, size, meta_len
BIG_V2 = Struct("<BH64sQI")


@lru_cache(maxsize=512)
def whole_entry(name_len: int) -> Struct:
    """An index entry of version 2 without meta, of a plain file: name_len, name, then PLAIN_V2."""
    return Struct(f"<H{name_len}s{PLAIN_V2.format[1:]}")


FLAG_BIG = 1
HASH_LEN = 64
MIN_ENTRY_SIZE = {1: U16.size + PLAIN_V1.size, 2: U16.size + PLAIN_V2.size}

# Nobody describes a file with more; it bounds what a damaged length can make us read.
MAX_META_BYTES = 16 << 20

SHA256_HEX = re.compile(r"[0-9a-f]{64}")


class Codec(IntEnum):
    """How a payload is stored."""

    NONE = 0
    ZSTD = 1
    LZ4 = 2


class ShardEntry(NamedTuple):
    """One file of a shard, as its index says.

    `size` is the content's, `stored_size` what it takes in the data area; both in bytes.
    `offset` is absolute. A big file has `sha256` (hex) and neither offset nor stored size.
    """

    uid: str
    size: int
    codec: int
    offset: int
    stored_size: int
    sha256: str | None
    meta_json: bytes

    @property
    def is_big(self) -> bool:
        """The content lives in `_bigFiles/`, not in the shard."""
        return self.sha256 is not None

    @property
    def meta(self) -> dict[str, object] | None:
        """The meta object, or None where the entry has none. `DamagedShard` if it is not JSON."""
        if not self.meta_json:
            return None
        try:
            value = json.loads(self.meta_json)
        except (ValueError, RecursionError) as exc:
            raise DamagedShard("the meta of an entry is not JSON", entry=self.uid) from exc
        if not isinstance(value, dict):
            raise DamagedShard("the meta of an entry is not an object", entry=self.uid)
        return value
