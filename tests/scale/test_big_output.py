"""An output of many days: a day costs by its own shards, however many others there are."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from des_core.basics.routing import day_text
from des_core.reading.retriever import Retriever
from des_core.storage.directory import DirectoryStorage, open_storage
from support.crash.truth import check_truth
from support.objects.faulty_proxy import Faults, faulty_proxy
from support.objects.server import ObjectServer
from support.objects.table import OUTPUT, bucket_settings, fill_bucket
from support.program.archive import make_archive, make_settings
from support.program.scale import run_alone
from support.rows.filesdata import FilesSpec, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.per_record import pack_per_record
from watermark_orchestrator.rechecking import look_for_late, record_late

OTHER_SHARDS = 3000
LATE_AT = datetime(2024, 1, 2, 5, tzinfo=UTC)


def other_names() -> Iterator[str]:
    """Shards of some years before the days of the test."""
    for number in range(OTHER_SHARDS):
        day = date(2015, 1, 1) + timedelta(days=number // 16)
        yield f"{day_text(day)}_{number % 16:X}_0000.des"


@pytest.fixture
def names_read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many names each directory gave to whoever listed it."""
    read: Counter[str] = Counter()
    real_listdir, real_scandir = os.listdir, os.scandir

    def listdir(path: Any = ".") -> Any:
        names = real_listdir(path)
        read[str(path).rstrip("/")] += len(names)
        return names

    class Scan:
        def __init__(self, path: Any) -> None:
            self._path, self._entries = str(path).rstrip("/"), real_scandir(path)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self._entries.close()

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            entry = next(self._entries)
            read[self._path] += 1
            return entry

        def close(self) -> None:
            self._entries.close()

    monkeypatch.setattr(os, "listdir", listdir)
    monkeypatch.setattr(os, "scandir", Scan)
    return read


def with_others(out: Path) -> Path:
    out.mkdir()
    for name in other_names():
        (out / name).touch()
    return out


def passes(read: Counter[str], out: Path) -> float:
    """How often all names of the output were read."""
    return read.pop(str(out), 0) / OTHER_SHARDS


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_directory_is_passed_once_for_all_days(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    names_read: Counter[str],
) -> None:
    """Once more for what a dead run left. Days, retries and late rows of one run share it."""
    out = with_others(tmp_path / "out")
    table = files_table(database, rows=96, days=12, bad={"missing": 2})
    settings = make_archive(database, out)
    passes(names_read, out)
    assert run_alone(settings).slices >= 12
    assert passes(names_read, out) < 2.5
    for number in range(4):
        table.add(f"late-{number}", LATE_AT + timedelta(days=2 * number))
    with open_archive(settings) as archive:
        report = look_for_late(archive, every_day=True)
        assert (report.late, passes(names_read, out) < 1.5) == (4, True)
        assert record_late(archive, report) == 4
        assert passes(names_read, out) < 2.5
    assert run_alone(settings).retried.packed == 4
    assert passes(names_read, out) < 2.5
    retriever = Retriever(open_storage(settings.packer.to_config()), settings.packer.n_bits)
    for day in range(1, 13):
        assert retriever.find("absent", datetime(2024, 1, day, tzinfo=UTC)) is None
        assert retriever.shards(date(2024, 1, day))
    assert passes(names_read, out) < 1.5
    for name in other_names():
        (out / name).unlink()
    check_truth(table, database, out)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_per_record_mode_passes_it_once(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    names_read: Counter[str],
) -> None:
    out = with_others(tmp_path / "out")
    files_table(database, rows=48, days=12)
    settings = make_settings(database, out)
    report = pack_per_record(settings, older_than_days=7, batch_size=100)
    assert report.files_marked == 48
    assert passes(names_read, out) < 2.5


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_bucket_is_asked_for_the_day_alone(
    bucket: ObjectServer,
    database: TestDatabase,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    """As many requests in a bucket full of other shards as in an empty one."""
    asked = []
    for number, others in enumerate(([], list(other_names()))):
        bucket.clear()
        its_database = database if number == 0 else make_database("sqlite")
        fill_bucket(bucket, files_table, its_database, FilesSpec(rows=12, days=3))
        for name in others:
            bucket.put(f"{OUTPUT}/{name}", b"")
        place = tmp_path / str(number)
        place.mkdir()
        with faulty_proxy(bucket.url, Faults()) as proxy:
            settings = bucket_settings(its_database, place, proxy.url)
            assert run_alone(settings).files_out == 12
            retriever = Retriever(open_storage(settings.packer.to_config()), settings.packer.n_bits)
            assert retriever.find("absent", datetime(2024, 1, 2, tzinfo=UTC)) is None
            assert retriever.shards(date(2024, 1, 3))
            asked.append(dict(proxy.requests))
    assert asked[0] == asked[1]


def test_what_is_added_is_listed_with_the_rest(tmp_path: Path) -> None:
    for name in ("20240101_0A_0001.des", "20240101_0A_0000.des", "20240102_0A_0000.des", "x.des"):
        (tmp_path / name).touch()
    storage = DirectoryStorage(str(tmp_path))
    listing = storage.listing()
    days = {date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 9)}
    assert listing.of_days(days) == storage.list_shards(days)
    (tmp_path / "20240101_0A_0002.des").touch()
    listing.add(["20240101_0A_0002.des", "20240101_0A_0002.des"])
    assert listing.of_days(days) == storage.list_shards(days)
    [names] = listing.of_days({date(2024, 1, 1)}).values()
    assert names == tuple(f"20240101_0A_{part:04d}.des" for part in range(3))
