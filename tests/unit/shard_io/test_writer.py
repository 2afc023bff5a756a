"""Writing: what is stored how, what is refused, and that nothing but the input decides."""

import hashlib
import io
from pathlib import Path

import pytest
import zstandard

from des_core.basics.errors import DesError, StorageError, UsageError
from des_core.basics.routing import UnusableUid
from des_core.shard_io import (
    BytesBlob,
    Codec,
    Compression,
    PayloadEncoder,
    ShardWriter,
    open_shard,
    verify_shard,
)
from support.shards.golden import BIG_SHA256, TEXTS
from support.shards.tiny_reader import read_shard

TEXT = TEXTS["invoice-0001"]
NOISE = TEXTS["📦"]


def test_statistics_are_those_of_the_file() -> None:
    file = io.BytesIO()
    writer = ShardWriter(file)
    assert writer.size_bytes == 24
    for uid, content in TEXTS.items():
        writer.add(uid, content, meta={"of": uid})
    writer.add_bigfile("big", BIG_SHA256, 1 << 40)
    expected_size = writer.size_bytes
    stats = writer.finish()
    assert stats.files == len(TEXTS) + 1
    assert stats.big_files == 1
    assert stats.content_bytes == sum(map(len, TEXTS.values())) + (1 << 40)
    assert stats.size_bytes == expected_size == len(file.getvalue())
    assert stats.sha256 == hashlib.sha256(file.getvalue()).hexdigest()


@pytest.mark.parametrize(
    ("content", "options", "codec"),
    [
        (TEXT, {}, Codec.ZSTD),
        (TEXT, {"store_raw": True}, Codec.NONE),
        (NOISE, {}, Codec.NONE),
        (b"x", {}, Codec.NONE),
        (b"", {}, Codec.NONE),
    ],
    ids=["text", "told to", "noise", "short", "empty"],
)
def test_what_gains_nothing_is_stored_raw(
    content: bytes, options: dict[str, bool], codec: Codec
) -> None:
    file = io.BytesIO()
    writer = ShardWriter(file)
    writer.add("u", content, **options)
    writer.finish()
    reader = open_shard(BytesBlob(file.getvalue()))
    entry = reader.find("u")
    assert entry is not None
    assert entry.codec == codec
    assert (entry.stored_size < entry.size) is (codec is Codec.ZSTD)
    assert reader.read(entry) == content


def test_frames_carry_checksum_and_content_size() -> None:
    codec, frame = PayloadEncoder(Compression(level=19)).encode(TEXT)
    parameters = zstandard.get_frame_parameters(frame)
    assert codec is Codec.ZSTD
    assert parameters.has_checksum
    assert parameters.content_size == len(TEXT)


def test_a_payload_buffer_may_be_used_again() -> None:
    file, buffer = io.BytesIO(), bytearray(NOISE)
    writer = ShardWriter(file)
    writer.add("first", memoryview(buffer)[:9])
    writer.add("second", buffer, store_raw=True)
    buffer[:] = bytes(len(buffer))
    writer.finish()
    reader = open_shard(BytesBlob(file.getvalue()))
    assert [reader.read(entry) for entry in reader.entries()] == [NOISE[:9], NOISE]


def test_compressing_many_at_once_gives_the_same_frames() -> None:
    """What a packer may use to compress in threads without the interpreter's lock."""
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True, threads=0)
    contents = [TEXT, TEXT[:500], bytes(99_999)]
    frames = compressor.multi_compress_to_buffer(contents, threads=2)
    encoder = PayloadEncoder(Compression())
    assert [(Codec.ZSTD, frame.tobytes()) for frame in frames] == [
        encoder.encode(content) for content in contents
    ]


def test_a_refused_uid_leaves_the_shard_as_it_was() -> None:
    clean, tried = io.BytesIO(), io.BytesIO()
    writer = ShardWriter(clean)
    writer.add("good", TEXT)
    expected = writer.finish()
    writer = ShardWriter(tried)
    writer.add("good", TEXT)
    for uid in ("", "x" * 65_536, "\ud800", "good"):
        with pytest.raises(UnusableUid):
            writer.add(uid, TEXT)
        with pytest.raises(UnusableUid):
            writer.add_bigfile(uid, BIG_SHA256, 1)
    assert writer.finish() == expected
    assert tried.getvalue() == clean.getvalue()


def test_uids_of_any_kind_read_back(tmp_path: Path) -> None:
    uids = ["x" * 65_535, "a\0b", "%s:'\"`;--", "../../etc/passwd", "\n", "📦", "e\u0301", "é", " "]
    path = tmp_path / "odd.des"
    with path.open("wb") as file:
        writer = ShardWriter(file)
        for uid in uids:
            writer.add(uid, uid.encode())
        writer.finish()
    assert read_shard(path) == {uid: (uid.encode(), None) for uid in uids}
    with open_shard(path) as reader:
        assert verify_shard(reader).files == len(uids)
        for uid in uids:
            entry = reader.find(uid)
            assert entry is not None
            assert reader.read(entry) == uid.encode()


def test_meta_has_one_form() -> None:
    forms = []
    for meta in ({"b": 1, "a": "ż"}, {"a": "ż", "b": 1}):
        file = io.BytesIO()
        writer = ShardWriter(file)
        writer.add("u", b"", meta=meta)
        writer.finish()
        forms.append(file.getvalue())
        entry = open_shard(BytesBlob(forms[-1])).find("u")
        assert entry is not None
        assert entry.meta == meta
    assert forms[0] == forms[1]
    assert rb'{"a":"\u017c","b":1}' in forms[0]


class _Reluctant(io.RawIOBase):
    """Takes a few bytes at a time, as an unbuffered file may."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self.taken += bytes(data[:7])
        return len(data[:7])


def test_an_unbuffered_file_gets_everything() -> None:
    file = _Reluctant()
    writer = ShardWriter(file)
    writer.add("u", NOISE)
    stats = writer.finish()
    assert hashlib.sha256(file.taken).hexdigest() == stats.sha256


def test_large_shards_are_written_on_the_way() -> None:
    file = io.BytesIO()
    writer = ShardWriter(file, Compression(Codec.NONE))
    for number in range(60):
        writer.add(str(number), bytes(200_000))
    assert len(file.getvalue()) > 8_000_000
    assert writer.finish().sha256 == hashlib.sha256(file.getvalue()).hexdigest()
    assert writer.whole is None


def add_all(writer: ShardWriter, files: list[tuple[str, bytes, bool]]) -> None:
    uids, contents, store_raw = zip(*files, strict=True)
    writer.add_many(uids, contents, store_raw)


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    files = [(f"doc-{n}", bytes([n]) * n * 50, n % 3 == 0) for n in range(100)]
    one, many = io.BytesIO(), io.BytesIO()
    writer = ShardWriter(one)
    for uid, content, store_raw in files:
        writer.add(uid, content, store_raw=store_raw)
    shared = ShardWriter(many, encoder=PayloadEncoder(Compression()))
    add_all(shared, files[:30])
    add_all(shared, files[30:])
    assert shared.finish() == writer.finish()
    assert many.getvalue() == one.getvalue() == shared.whole


def test_many_at_once_refuse_what_one_by_one_does() -> None:
    writer = ShardWriter(io.BytesIO())
    for bad in ("", "a", "x" * 70_000):
        with pytest.raises(UnusableUid):
            add_all(
                writer, [(f"before {bad[:1]}", b"", False), ("a", b"1", False), (bad, b"", False)]
            )
    assert writer.finish().files == 4


def test_a_full_disk_is_a_storage_error() -> None:
    with open("/dev/full", "wb", buffering=0) as file:  # noqa: PTH123 - a device, not a path
        writer = ShardWriter(file)
        writer.add("u", TEXT)
        with pytest.raises(StorageError):
            writer.finish()


def test_misuse_is_refused() -> None:
    writer = ShardWriter(io.BytesIO())
    with pytest.raises(DesError):
        writer.add_bigfile("u", "../../etc/passwd", 1)
    with pytest.raises(UsageError):
        Compression(Codec.LZ4)
    writer.finish()
    for late in (lambda: writer.add("u", b""), writer.finish):
        with pytest.raises(DesError):
            late()
