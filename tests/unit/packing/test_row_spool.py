"""Rows by day and bucket, in order, through a temporary file that nobody sees."""

import random
import tracemalloc
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from des_core.basics.errors import StorageError
from des_core.basics.routing import bucket_of
from des_core.packing.row_groups import take_bites
from des_core.packing.row_spool import RowSpool, decode_rows
from des_core.packing.tasks import ShardTask
from des_core.records import SourceRow

DAY_US = 86_400_000_000


def made_rows(count: int, days: int = 3) -> Iterator[SourceRow]:
    for number in range(count):
        uid = str(number) if number % 2 else f"doc-{number}"
        yield SourceRow(uid, number % days * DAY_US + number, f"/data/{number}", number % 100)


def fill(spool: RowSpool, rows: list[SourceRow], page: int = 50) -> None:
    for start in range(0, len(rows), page):
        spool.add(rows[start : start + page])


def rows_of(tasks: list[ShardTask]) -> dict[tuple[date, int], list[SourceRow]]:
    return {(task.day, task.bucket): decode_rows(task.rows) for task in tasks}


@pytest.mark.parametrize("memory_limit", [1, 5_000, 1 << 25])
@pytest.mark.parametrize("n_bits", [4, 16])
def test_rows_come_back_by_day_and_bucket(tmp_path: Path, memory_limit: int, n_bits: int) -> None:
    rows = list(made_rows(1000))
    random.Random(1).shuffle(rows)
    with RowSpool(n_bits, str(tmp_path), memory_limit=memory_limit) as spool:
        fill(spool, rows)
        assert spool.rows == 1000
        assert spool.days() == {date(1970, 1, 1) + timedelta(days=n) for n in range(3)}
        tasks = list(spool.tasks())
        places = [(task.day, task.bucket) for task in tasks]
        assert places == sorted(set(places))
        expected: dict[tuple[date, int], list[SourceRow]] = {}
        for row in rows:
            day = date(1970, 1, 1) + timedelta(days=row.created_us // DAY_US)
            expected.setdefault((day, bucket_of(row.uid, n_bits)), []).append(row)
        assert rows_of(tasks) == expected


def test_odd_rows_survive_the_file(tmp_path: Path) -> None:
    rows = [
        SourceRow("", 0, None, None),
        SourceRow("lone \ud83d surrogate", -1, "", 0),
        SourceRow("x" * 70_000, -DAY_US * 719_000, "/y" * 3000, 1 << 62),
        SourceRow("9" * 5000, DAY_US * 2_900_000, "/\udcff", -1),
    ]
    with RowSpool(8, str(tmp_path), memory_limit=0) as spool:
        for row in rows:
            spool.add([row])
        back = [row for task in spool.tasks() for row in decode_rows(task.rows)]
    assert sorted(back, key=str) == sorted(rows, key=str)


@pytest.mark.parametrize("memory_limit", [1, 50_000, 1 << 25])
def test_a_bucket_with_too_many_rows_is_cut_by_uid(tmp_path: Path, memory_limit: int) -> None:
    rows = [SourceRow(str(n % 900 * 16), n, f"/data/{n}", 1) for n in range(1000)]
    with RowSpool(4, str(tmp_path), memory_limit=memory_limit, chunk_rows=300) as spool:
        fill(spool, [*rows, SourceRow("1", 0, "/data/other", 1)])
        tasks = list(spool.tasks())
        assert list(spool.tasks()) == tasks
    assert [(task.bucket, task.chunk, task.chunks) for task in tasks] == [
        *((0, chunk, 4) for chunk in range(4)),
        (1, 0, 1),
    ]
    assert [task.adopts for task in tasks] == [True, False, False, False, True]
    assert all(task.count == len(decode_rows(task.rows)) < 350 for task in tasks)
    chunks = [{row.uid for row in decode_rows(task.rows)} for task in tasks[:4]]
    assert sum(map(len, chunks)) == 900
    assert sorted(row for task in tasks[:4] for row in decode_rows(task.rows)) == sorted(rows)


def test_bites_are_small_and_in_the_order_of_time(tmp_path: Path) -> None:
    rows = [SourceRow(str(n), n * 7919 % 1000 // 3, "/x", n) for n in range(1000)]
    with RowSpool(4, str(tmp_path), memory_limit=3000) as spool:
        fill(spool, [row._replace(uid=str(int(row.uid) * 16)) for row in rows])
        (task,) = spool.tasks()
    bites = list(take_bites(task.rows, task.count, 100))
    assert len(bites) == 10
    assert max(map(len, bites)) <= 103
    assert sum(map(len, bites)) == 1000
    for one, next_one in pairwise(bites):
        assert max(row.created_us for row in one) < min(row.created_us for row in next_one)


def test_a_bite_of_rows_with_one_created_at(tmp_path: Path) -> None:
    with RowSpool(4, str(tmp_path)) as spool:
        spool.add([SourceRow(str(n * 16), 5, "/x", n) for n in range(500)])
        (task,) = spool.tasks()
    assert [len(bite) for bite in take_bites(task.rows, task.count, 100)] == [500]


def test_tasks_know_which_shards_exist(tmp_path: Path) -> None:
    place = (date(1970, 1, 1), 1)
    with RowSpool(4, str(tmp_path)) as spool:
        spool.add([SourceRow("1", 0, "/a", 1), SourceRow("2", 0, "/b", 1)])
        one, two = spool.tasks({place: ("a", "b")}, known={"a"})
    assert (one.existing, one.unknown) == (("a", "b"), frozenset({"b"}))
    assert (two.existing, two.unknown) == ((), frozenset())


def test_the_temporary_file_has_no_name(tmp_path: Path) -> None:
    with RowSpool(8, str(tmp_path), memory_limit=0) as spool:
        fill(spool, list(made_rows(100)))
        assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        with RowSpool(16, str(tmp_path), memory_limit=1 << 20) as spool:
            page = []
            for row in made_rows(count):
                page.append(row)
                if len(page) == 500:
                    spool.add(page)
                    page = []
            assert sum(1 for _ in spool.tasks()) > 0
            result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    assert peak(20_000) < 2 * peak(5_000)


def test_a_directory_that_cannot_take_the_file(tmp_path: Path) -> None:
    with (
        RowSpool(8, str(tmp_path / "gone"), memory_limit=0) as spool,
        pytest.raises(StorageError) as caught,
    ):
        spool.add(list(made_rows(10)))
    assert caught.value.hint
