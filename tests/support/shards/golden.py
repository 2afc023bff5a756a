"""What the golden shards in tests/golden/shards hold, and how their bytes come about."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import zstandard

from des_core.shard_io import Codec, Compression, LocalBlob, PayloadEncoder, ShardWriter
from des_core.shard_io.dictionaries import DICTIONARIES_DIR, Dictionary, read_copy
from support.shards.builder import RawEntry, build_shard

GOLDEN_DIR = Path(__file__).parents[2] / "golden" / "shards"
EXPECTED = GOLDEN_DIR / "expected.json"

BIG_CONTENT = b"a big file, for the sake of the example\n"
BIG_SHA256 = hashlib.sha256(BIG_CONTENT).hexdigest()
# Compressed bytes belong to one release of libzstd; content reads back with any.
ZSTD_RELEASE = (1, 5, 7)

Files = dict[str, bytes]

TEXTS: Files = {
    "invoice-0001": b"The quick brown fox jumps over the lazy dog. " * 40,
    "12345": b"x",
    "empty": b"",
    "zażółć gęślą jaźń": "pchnąć w tę łódź jeża lub ośm skrzyń fig\n".encode() * 100,
    'a/b\\c "q"\n': bytes(range(256)) * 2,
    "📦": hashlib.sha512(b"not compressible").digest(),
}


def written(fill: Callable[[ShardWriter], object], compression: Compression) -> bytes:
    """The bytes of a shard that our writer makes."""
    file = io.BytesIO()
    writer = ShardWriter(file, compression)
    fill(writer)
    writer.finish()
    return file.getvalue()


def make_worked_example() -> bytes:
    def fill(writer: ShardWriter) -> None:
        writer.add("7", b"Hello, shard!\n")
        writer.add("ż", b"", meta={"n": 1})
        writer.add_bigfile("big", BIG_SHA256, len(BIG_CONTENT))

    return written(fill, Compression(Codec.NONE))


def make_v2_none() -> bytes:
    return written(_fill_texts, Compression(Codec.NONE))


def make_v2_zstd() -> bytes:
    return written(_fill_texts, Compression(Codec.ZSTD, 3))


def make_v2_empty() -> bytes:
    return written(lambda _: None, Compression())


def make_v1_mixed() -> bytes:
    """Our writer makes no version 1, readers still meet it; frames without a checksum too."""
    plain = zstandard.ZstdCompressor(level=3, write_checksum=False)
    unsized = zstandard.ZstdCompressor(level=3, write_checksum=True, write_content_size=False)
    entries = [
        RawEntry(b"old-none", TEXTS["12345"]),
        _frame(b"old-zstd", plain.compress(TEXTS["invoice-0001"]), 1, "invoice-0001"),
        _frame(b"old-unsized", unsized.compress(TEXTS["invoice-0001"]), 1, "invoice-0001"),
        _frame(b"old-empty", plain.compress(b""), 1, "empty"),
    ]
    return build_shard(entries, version=1)


def make_v2_lz4() -> bytes:
    import lz4.frame

    compress = lz4.frame.compress
    names = ("invoice-0001", "empty", "📦")
    return build_shard([_frame(n.encode(), compress(TEXTS[n]), 2, n) for n in names])


def make_dictionary() -> Dictionary:
    """What the golden shard was compressed with; trained once, and kept."""
    (path,) = (GOLDEN_DIR / DICTIONARIES_DIR).glob("*.copy")
    return read_copy(LocalBlob, str(path))


def small_texts() -> Files:
    """Documents that share most of their words."""
    return {
        f"order-{number}": b'{"order":%d,"customer":{"name":"c%d","country":"PL"},"paid":%s}\n'
        % (number, number * 7919 % 1000, b"true" if number % 3 else b"false")
        for number in range(8)
    }


def make_v2_dictionary() -> bytes:
    file = io.BytesIO()
    writer = ShardWriter(
        file, encoder=PayloadEncoder(Compression(Codec.ZSTD, 3), make_dictionary())
    )
    for uid, content in small_texts().items():
        writer.add(uid, content)
    writer.add("long", b"".join(small_texts().values()) * 300)
    writer.finish()
    return file.getvalue()


def _fill_texts(writer: ShardWriter) -> None:
    for uid, content in TEXTS.items():
        writer.add(uid, content)


def _frame(uid: bytes, stored: bytes, codec: int, text: str) -> RawEntry:
    return RawEntry(uid, stored, codec=codec, size=len(TEXTS[text]))


# Name → how it is made, and whether its bytes depend on the compressing library's release.
GOLDEN_SHARDS: dict[str, tuple[Callable[[], bytes], bool]] = {
    "worked_example.des": (make_worked_example, False),
    "v2_none.des": (make_v2_none, False),
    "v2_zstd.des": (make_v2_zstd, True),
    "v2_empty.des": (make_v2_empty, False),
    "v1_mixed.des": (make_v1_mixed, True),
    "v2_lz4.des": (make_v2_lz4, True),
    "v2_dictionary.des": (make_v2_dictionary, True),
}
