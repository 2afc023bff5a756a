"""The brake judges a cycle as it goes on: small slices, all of whose files are missing, stop it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from des_core.basics.errors import TooManyFailures
from des_core.settings.config import Settings
from support.crash.truth import check_truth, read_watermark_value
from support.program.archive import make_archive
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import CycleReport, run_cycle

FIRST = datetime(2024, 1, 1, tzinfo=UTC)


def cycle(settings: Settings) -> CycleReport:
    with open_archive(settings) as archive:
        return run_cycle(archive)


def in_small_slices(table: FilesTable, each: int, slices: int, lost: set[int]) -> None:
    """`each` files in every hour; those of the `lost` hours are missing."""
    for number in range(slices):
        for place in range(each):
            moment = FIRST + timedelta(hours=number, minutes=1, seconds=place)
            row = table.add(f"{number}-{place}", moment)
            if number in lost:
                Path(row.location).unlink()


@pytest.mark.parametrize("each", [5, 50])
def test_it_stops_before_the_second_watermark(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, each: int
) -> None:
    table = files_table(database, rows=0)
    in_small_slices(table, each, 4, lost={0, 1, 2, 3})
    settings = make_archive(database, tmp_path / "out", watermark={"slice": "hour"})
    with pytest.raises(TooManyFailures) as error:
        cycle(settings)
    assert "mounted" in str(error.value.hint)
    first_hour = FIRST + timedelta(hours=1)
    assert read_watermark_value(database) < first_hour + timedelta(minutes=1)
    assert len(check_truth(table, database, tmp_path / "out")) == each


def test_the_next_run_begins_with_what_the_last_one_left(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=0)
    in_small_slices(table, 5, 4, lost={0, 1, 2, 3})
    settings = make_archive(database, tmp_path / "out", watermark={"slice": "hour"})
    with pytest.raises(TooManyFailures):
        cycle(settings)
    before = read_watermark_value(database)
    for _ in range(2):
        with pytest.raises(TooManyFailures):
            cycle(settings)
    assert read_watermark_value(database) == before
    for row in table.rows.values():
        Path(row.location).write_bytes(table.expected_content(row.uid))
    assert not cycle(settings).files_failed


def test_a_share_counts_over_the_whole_cycle(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Thirty of forty in each slice: none of them fails whole, and none has a hundred failures."""
    table = files_table(database, rows=0)
    in_small_slices(table, 40, 8, lost=set())
    for row in table.rows.values():
        if int(row.uid.split("-")[1]) < 30:
            Path(row.location).unlink()
    settings = make_archive(database, tmp_path / "out", watermark={"slice": "hour"})
    with pytest.raises(TooManyFailures, match="since the cycle began"):
        cycle(settings)
    assert len(check_truth(table, database, tmp_path / "out")) == 90


def test_lost_hours_between_good_ones_stop_nothing(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=0)
    in_small_slices(table, 20, 6, lost={1, 3})
    settings = make_archive(database, tmp_path / "out", watermark={"slice": "hour"})
    assert cycle(settings).files_failed == 40
    check_truth(table, database, tmp_path / "out")


def test_a_ratio_of_one_lifts_it(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=0)
    in_small_slices(table, 50, 4, lost={0, 1, 2, 3})
    settings = make_archive(
        database,
        tmp_path / "out",
        watermark={"slice": "hour"},
        migration={"max_failure_ratio": 1.0},
    )
    assert cycle(settings).files_failed == 200
