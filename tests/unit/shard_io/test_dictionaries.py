"""Dictionaries beside shards: found by id, used only if their bytes are those of their name."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from des_core.basics.errors import DamagedShard, DesError, UsageError
from des_core.packing.draft_check import DraftCheck
from des_core.packing.training import train
from des_core.shard_io import (
    BytesBlob,
    Codec,
    Compression,
    PayloadEncoder,
    ShardReader,
    ShardStats,
    ShardWriter,
    open_shard,
    verify_shard,
)
from des_core.shard_io.codecs import DICTIONARY_LIMIT
from des_core.shard_io.dictionaries import (
    END_ID,
    FIRST_ID,
    MAX_DICTIONARY,
    Dictionary,
    copies_of,
    natural_id,
    with_id,
)
from des_core.storage.dictionaries import list_dictionaries, load_dictionary, store_dictionary
from des_core.storage.directory import DirectoryStorage
from support.rows.documents import document
from support.shards.tiny_reader import read_shard

DOCUMENTS = [document(number) for number in range(300)]
LEVEL_3 = Compression(level=3)


@pytest.fixture(scope="module")
def trained() -> bytes:
    content = train(DOCUMENTS, LEVEL_3, 1.0).content
    assert content is not None
    return content


@pytest.fixture
def beside(tmp_path: Path, trained: bytes) -> tuple[Path, Dictionary]:
    """A shard, and the dictionary stored beside it."""
    dictionary = store_dictionary(DirectoryStorage(str(tmp_path)), trained)
    data, _ = packed(dictionary)
    path = tmp_path / "20240301_0_0000.des"
    path.write_bytes(data)
    return path, dictionary


def packed(dictionary: Dictionary) -> tuple[bytes, ShardStats]:
    """A shard of documents, one that is too large for a dictionary, and one stored raw."""
    file = io.BytesIO()
    writer = ShardWriter(file, encoder=PayloadEncoder(LEVEL_3, dictionary))
    uids = [str(number) for number in range(1000, 1100)]
    writer.add_many(uids, [document(int(uid)) for uid in uids], [False] * 100)
    writer.add("large", document(1) * 400)
    writer.add("raw", b"raw", store_raw=True)
    stats = writer.finish()
    return file.getvalue(), stats


def packed_files() -> dict[str, bytes]:
    files = {str(number): document(number) for number in range(1000, 1100)}
    return files | {"large": document(1) * 400, "raw": b"raw"}


def contents(path: Path) -> dict[str, bytes]:
    with open_shard(path) as reader:
        return {entry.uid: reader.read(entry) for entry in reader.entries()}


def streamed(path: Path) -> dict[str, bytes]:
    with open_shard(path) as reader:
        return {entry.uid: b"".join(reader.stream(entry)) for entry in reader.entries()}


def test_both_readers_find_the_dictionary(beside: tuple[Path, Dictionary]) -> None:
    path, dictionary = beside
    assert len(document(1) * 400) > DICTIONARY_LIMIT
    assert contents(path) == streamed(path) == packed_files()
    assert {uid: content for uid, (content, _) in read_shard(path).items()} == packed_files()
    with open_shard(path) as reader:
        assert verify_shard(reader).dictionaries == (dictionary.name,)
        ids = {
            entry.uid: zstandard.get_frame_parameters(
                reader.read_range(entry.offset, entry.stored_size)
            ).dict_id
            for entry in reader.entries()
            if entry.codec == Codec.ZSTD
        }
    assert ids.pop("large") == 0
    assert set(ids.values()) == {dictionary.dict_id}


def test_it_halves_what_documents_take(trained: bytes) -> None:
    others = [document(number) for number in range(2000, 2300)]
    encoders = PayloadEncoder(LEVEL_3), PayloadEncoder(LEVEL_3, with_id(trained, FIRST_ID))
    alone, together = (sum(len(e.encode(d)[1]) for d in others) for e in encoders)
    assert together < alone / 2


def test_nothing_is_decoded_without_it(beside: tuple[Path, Dictionary]) -> None:
    path, dictionary = beside
    first, second = (path.parent / copy for copy in copies_of(dictionary.name))
    first.unlink()
    assert contents(path) == packed_files(), "the second copy serves"
    second.unlink()
    for read in (contents, streamed):
        with pytest.raises(DamagedShard, match="a dictionary is missing") as caught:
            read(path)
        assert str(dictionary.dict_id) in str(caught.value.facts["dictionary"])
    with pytest.raises(UsageError, match="dictionaries"):
        _read_all(ShardReader(BytesBlob(path.read_bytes())))


def _read_all(reader: ShardReader) -> list[bytes]:
    return [reader.read(entry) for entry in reader.entries()]


@pytest.mark.parametrize("spoil", ["flip", "cut", "empty", "grow", "other"])
def test_a_damaged_copy_is_never_used(
    beside: tuple[Path, Dictionary], spoil: str, trained: bytes
) -> None:
    path, dictionary = beside
    first, second = (path.parent / copy for copy in copies_of(dictionary.name))
    data = dictionary.content
    first.write_bytes(
        {
            "flip": data[:999] + bytes([data[999] ^ 4]) + data[1000:],
            "cut": data[:-1],
            "empty": b"",
            "grow": data + bytes(MAX_DICTIONARY),
            "other": with_id(trained, dictionary.dict_id + 1).content,
        }[spoil]
    )
    assert contents(path) == packed_files()
    second.write_bytes(first.read_bytes())
    with pytest.raises(DamagedShard, match="a dictionary"):
        contents(path)
    with pytest.raises(DamagedShard, match="a dictionary"):
        load_dictionary(DirectoryStorage(str(path.parent)), dictionary.name)


def test_a_name_that_lies_about_the_id_is_refused(tmp_path: Path, trained: bytes) -> None:
    honest = with_id(trained, 70_000)
    name = f"{70_001:010d}_{honest.name[11:]}"
    (tmp_path / "_dictionaries").mkdir()
    for copy in copies_of(name):
        (tmp_path / copy).write_bytes(honest.content)
    with pytest.raises(DamagedShard, match="another id"):
        load_dictionary(DirectoryStorage(str(tmp_path)), name)


@pytest.mark.parametrize("read", [contents, streamed])
def test_of_two_with_one_id_the_right_one_is_used(
    beside: tuple[Path, Dictionary], read: Callable[[Path], dict[str, bytes]]
) -> None:
    """Two writers may choose one id at the same moment: the frames' checksums tell them apart."""
    path, dictionary = beside
    for seed in range(1, 4):
        texts = [document(seed * 10_000 + number)[::-1] for number in range(300)]
        other = train(texts, LEVEL_3, 1.0).content
        assert other is not None
        rival = with_id(other, dictionary.dict_id)
        for copy in copies_of(rival.name):
            (path.parent / copy).write_bytes(rival.content)
    assert read(path) == packed_files()
    for copy in copies_of(dictionary.name):
        (path.parent / copy).unlink()
    with pytest.raises(DamagedShard):
        read(path)


def test_an_id_that_another_has_is_not_given_again(tmp_path: Path, trained: bytes) -> None:
    storage = DirectoryStorage(str(tmp_path))
    rival = with_id(trained[:-1] + bytes([trained[-1] ^ 1]), natural_id(trained))
    (tmp_path / "_dictionaries").mkdir()
    (tmp_path / copies_of(rival.name)[0]).write_bytes(rival.content)
    stored = store_dictionary(storage, trained)
    assert stored.dict_id == natural_id(trained) + 1
    assert store_dictionary(storage, trained) == stored
    assert list_dictionaries(storage) == sorted([rival.name, stored.name])
    assert FIRST_ID <= stored.dict_id < END_ID


def test_a_lost_copy_comes_back_when_it_is_stored_again(tmp_path: Path, trained: bytes) -> None:
    storage = DirectoryStorage(str(tmp_path))
    name = store_dictionary(storage, trained).name
    for copy in copies_of(name):
        (tmp_path / copy).unlink()
        assert store_dictionary(storage, trained).name == name
        assert (tmp_path / copy).read_bytes() == load_dictionary(storage, name).content


def test_what_was_written_is_checked_with_the_dictionary(trained: bytes) -> None:
    dictionary = with_id(trained, natural_id(trained))
    data, written = packed(dictionary)
    check = DraftCheck()
    check.check(BytesBlob(data), written, None, dictionary)
    check.check(BytesBlob(data), written, data, dictionary)
    with pytest.raises(DamagedShard):
        check.check(BytesBlob(data), written, data, None)
    for spoilt in _flips(data):
        with pytest.raises(DamagedShard):
            check.check(BytesBlob(spoilt), written, None, dictionary)


def _flips(data: bytes) -> Iterator[bytes]:
    for place in range(9, len(data), len(data) // 60):
        yield data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_a_bit_flipped_in_a_frame_is_no_content(beside: tuple[Path, Dictionary]) -> None:
    path, _ = beside
    data, files = path.read_bytes(), packed_files()
    for spoilt in _flips(data):
        path.write_bytes(spoilt)
        try:
            found = contents(path)
        except DesError:
            continue
        changed = {uid for uid, content in found.items() if files.get(uid) != content}
        assert changed <= {"raw"} or set(found) != set(files), "only uids and raw bytes may change"
