"""Packing real files: every row ends in a shard or has a reason, same rows same bytes."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from des_core.records import SourceRow
from support.shards.packing import DAY, Corpus, archive_bytes, leftovers, pack_rows, read_archive


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path / "source")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def test_every_file_is_read_back_byte_for_byte(corpus: Corpus, output: Path) -> None:
    corpus.fill(200, days=3)
    packed = pack_rows(corpus.rows, output)
    assert packed.failures == []
    assert packed.files_out == 200
    assert read_archive(output) == corpus.contents
    assert {shard.day for shard in packed.shards} == {DAY + timedelta(days=n) for n in range(3)}
    assert leftovers(output) == []


def test_records_say_what_the_files_are(corpus: Corpus, output: Path) -> None:
    import hashlib

    corpus.fill(50)
    packed = pack_rows(corpus.rows, output)
    for shard in packed.shards:
        data = (output / shard.name).read_bytes()
        assert shard.sha256 == hashlib.sha256(data).hexdigest()
        assert shard.size_bytes == len(data)
    assert sum(shard.files for shard in packed.shards) == 50
    content_bytes = sum(map(len, corpus.contents.values()))
    assert sum(shard.content_bytes for shard in packed.shards) == content_bytes
    assert sum(outcome.bytes_in for outcome in packed.outcomes) == content_bytes


@pytest.mark.parametrize("workers", [2, 4])
def test_bytes_do_not_depend_on_workers_or_order(
    corpus: Corpus, tmp_path: Path, workers: int
) -> None:
    corpus.fill(300, days=2)
    pack_rows(corpus.rows, tmp_path / "one", max_shard_size=3000)
    shuffled = random.Random(workers).sample(corpus.rows, len(corpus.rows))
    pack_rows(
        shuffled,
        tmp_path / "many",
        workers=workers,
        page=17,
        memory_limit=20_000,
        max_shard_size=3000,
    )
    assert archive_bytes(tmp_path / "one") == archive_bytes(tmp_path / "many")


def test_parts_begin_where_the_size_would_be_passed(corpus: Corpus, output: Path) -> None:
    for number in range(10):
        corpus.add(str(16 * number), bytes([number]) * 400)
    packed = pack_rows(corpus.rows, output, max_shard_size=1000)
    assert [shard.part for shard in packed.shards] == [0, 1, 2, 3, 4]
    assert [shard.files for shard in packed.shards] == [2, 2, 2, 2, 2]
    assert read_archive(output) == corpus.contents


def fill_one_bucket(corpus: Corpus, count: int = 60) -> None:
    for number in range(count):
        corpus.add(str(16 * number), bytes([number]) * 100)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_bucket_that_holds_nearly_everything_is_packed_side_by_side(
    corpus: Corpus, tmp_path: Path, workers: int
) -> None:
    fill_one_bucket(corpus)
    options = {"chunk_rows": 20, "max_shard_size": 700}
    pack_rows(corpus.rows, tmp_path / "one", **options)
    packed = pack_rows(corpus.rows[::-1], tmp_path / "many", workers=workers, page=7, **options)
    assert archive_bytes(tmp_path / "one") == archive_bytes(tmp_path / "many")
    assert read_archive(tmp_path / "one") == corpus.contents
    assert len({shard.name for shard in packed.shards}) == len(packed.shards) > 8


def test_chunks_that_were_lost_come_back_as_they_were(corpus: Corpus, output: Path) -> None:
    """Whichever shards a killed try had published, the next one ends in the same archive."""
    fill_one_bucket(corpus)
    options = {"chunk_rows": 20, "max_shard_size": 700}
    pack_rows(corpus.rows[:1], output, **options)
    known = [path.name for path in output.glob("*.des")]
    pack_rows(corpus.rows, output, known=known, **options)
    whole = archive_bytes(output)
    for name in sorted(set(whole) - set(known)):
        # The parts of a chunk appear in their order: a crash loses the last ones.
        lost = [n for n in whole if n not in known and n >= name and is_turn_of(name, n)]
        for other in lost:
            (output / other).unlink()
        again = pack_rows(corpus.rows, output, known=known, **options)
        assert archive_bytes(output) == whole
        assert {shard.name for shard in again.shards} == set(lost)
        adopted = [shard.name for shard in again.adopted]
        assert sorted(adopted) == sorted(set(whole) - set(known) - set(lost))


def is_turn_of(name: str, other: str) -> bool:
    """Whether two parts belong to the same of three chunks."""
    return (int(name[-8:-4]) - int(other[-8:-4])) % 3 == 0


def test_a_file_larger_than_a_shard_gets_one_of_its_own(corpus: Corpus, output: Path) -> None:
    for number in range(3):
        corpus.add(str(16 * number), bytes([number]) * 5000)
    packed = pack_rows(corpus.rows, output, max_shard_size=1000)
    assert [shard.files for shard in packed.shards] == [1, 1, 1]


def test_a_replay_adds_only_what_is_missing(corpus: Corpus, output: Path) -> None:
    corpus.fill(60)
    first = pack_rows(corpus.rows[:40], output)
    before = archive_bytes(output)
    known = [shard.name for shard in first.shards]
    again = pack_rows(corpus.rows, output, known=known)
    assert again.files_out == 60
    assert again.files_present == 40
    assert again.adopted == []
    assert sum(shard.files for shard in again.shards) == 20
    assert all(shard.name not in before for shard in again.shards)
    assert {shard.part for shard in again.shards} == {0, 1}
    after = archive_bytes(output)
    assert before.items() <= after.items()
    assert read_archive(output) == corpus.contents


def test_a_replay_of_the_same_changes_nothing(corpus: Corpus, output: Path) -> None:
    corpus.fill(30)
    pack_rows(corpus.rows, output)
    before = archive_bytes(output)
    again = pack_rows(corpus.rows, output, workers=2)
    assert again.shards == []
    assert again.files_present == 30
    assert archive_bytes(output) == before


def test_shards_unknown_to_the_ledger_are_adopted(corpus: Corpus, output: Path) -> None:
    corpus.fill(30)
    first = pack_rows(corpus.rows, output)
    again = pack_rows(corpus.rows, output)
    assert sorted(again.adopted, key=lambda s: s.name) == sorted(first.shards, key=lambda s: s.name)


def test_gaps_between_parts_stay(corpus: Corpus, output: Path) -> None:
    for number in range(6):
        corpus.add(str(16 * number), bytes([number]) * 400)
    pack_rows(corpus.rows, output, max_shard_size=400)
    (output / "20240301_0_0002.des").unlink()
    again = pack_rows(corpus.rows, output)
    assert [shard.part for shard in again.shards] == [6]
    assert read_archive(output) == corpus.contents


def test_what_is_packed_with_another_size_is_changed(corpus: Corpus, output: Path) -> None:
    row = corpus.add("doc", b"short")
    pack_rows(corpus.rows, output)
    packed = pack_rows([row._replace(size_bytes=99)], output)
    assert packed.reasons == {"doc": "changed"}
    assert "has it with 5 bytes, its row says 99" in packed.failures[0].error


def test_where_sizes_are_unknown_what_is_there_is_present(corpus: Corpus, output: Path) -> None:
    row = corpus.add("doc", b"short")
    pack_rows([row._replace(size_bytes=None)], output)
    packed = pack_rows([row._replace(size_bytes=None)], output)
    assert packed.files_present == 1


def test_nothing_to_pack_makes_no_shard(output: Path) -> None:
    assert pack_rows([], output).outcomes == []
    packed = pack_rows([SourceRow("a", 0, "/nonexistent/file", 1)], output, workers=2)
    assert packed.reasons == {"a": "missing"}
    assert archive_bytes(output) == {}


@pytest.mark.parametrize(
    "uid",
    [
        "a'b\"c",
        "a/b/../c",
        "line\nbreak",
        "100%",
        "a:b:c",
        "😀 emoji",
        "٣٤",
        " ",
        "\0",
        "x" * 65_535,
    ],
    ids=[
        "quotes",
        "slashes",
        "newline",
        "percent",
        "colons",
        "emoji",
        "digits",
        "blank",
        "nul",
        "max",
    ],
)
def test_odd_uids_are_packed(corpus: Corpus, output: Path, uid: str) -> None:
    corpus.add(uid, b"content")
    assert pack_rows(corpus.rows, output, workers=2).failures == []
    assert read_archive(output) == {uid: b"content"}


@pytest.mark.parametrize("uid", ["", "x" * 70_000, "ż" * 40_000, "half \ud83d"])
def test_uids_that_no_shard_holds_fail(corpus: Corpus, output: Path, uid: str) -> None:
    corpus.add("good")
    corpus.contents.pop("good")
    row = corpus.add("x", b"content")._replace(uid=uid)
    packed = pack_rows([corpus.rows[0], row], output, memory_limit=1)
    assert packed.reasons == {uid: "bad_uid"}
    assert packed.files_out == 1


def test_of_equal_uids_the_first_is_packed(corpus: Corpus, output: Path) -> None:
    first = corpus.add("same", b"first")
    second = corpus.add("other", b"second")._replace(uid="same")
    packed = pack_rows([second, first], output)
    assert [(f.uid, str(f.reason), f.created_us) for f in packed.failures] == [
        ("same", "duplicate_uid", second.created_us)
    ]
    assert read_archive(output) == {"same": b"first"}


def test_already_compressed_files_are_stored_as_they_are(corpus: Corpus, output: Path) -> None:
    corpus.add("1", b"a" * 5000, name="photo.JPG")
    corpus.add("2", b"a" * 5000, name="text.txt")
    packed = pack_rows(corpus.rows, output)
    sizes = {shard.bucket: shard.size_bytes for shard in packed.shards}
    assert sizes[1] > 5000 > sizes[2]
