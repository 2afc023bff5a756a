"""What holds a cycle back: open transactions, too many failures, and the back-off of retries."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from des_core.basics.errors import TooManyFailures
from des_core.ledger.exceptions import FIRST_RETRY_AFTER, LONGEST_RETRY_AFTER, retry_after
from des_core.rows.reader import SourceReader
from des_core.settings.config import Settings
from support.crash.truth import as_utc, check_truth, read_watermark_value
from support.program.archive import make_archive
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import CyclePlan, CycleReport, plan_cycle, run_cycle

SERVERS = pytest.mark.parametrize("database", ["postgres", "mariadb", "mysql"], indirect=True)


def cycle(settings: Settings) -> CycleReport:
    with open_archive(settings) as archive:
        return run_cycle(archive)


def plan_once_seen(settings: Settings) -> CyclePlan:
    """MariaDB shows transactions from a cache that is renewed when nobody asked for 0.1 s."""
    with open_archive(settings) as archive:
        for number in range(20):
            threading.Event().wait(0.2 * number)
            plan = plan_cycle(archive)
            if plan.held_back_by is not None:
                return plan
    raise AssertionError("the open transaction was not seen")


@SERVERS
def test_the_target_stays_before_the_oldest_open_transaction(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A writer that stamps its row now and commits late: its row is in the next window."""
    table = files_table(database, rows=40, days=2)
    settings = make_archive(database, tmp_path / "out", watermark={"recheck_days": 0})
    database.execute("UPDATE des_archive_config SET lag_days = 0")
    began = datetime.now(UTC)
    # Two days later that writer is still at work, and the target would lie after its beginning.
    look = SourceReader.clock
    two_days = timedelta(days=2)
    monkeypatch.setattr(
        SourceReader, "clock", lambda self: replace(c := look(self), now=c.now + two_days)
    )
    # This machine's clock stays where it is, and would be believed before the source's.
    monkeypatch.setattr("watermark_orchestrator.cycle._refuse_ahead", lambda *_: None)
    writer = database.connect()
    writer.cursor().execute("UPDATE files SET size_bytes = size_bytes")
    plan = plan_once_seen(settings)
    assert plan.held_back_by is not None
    assert abs(plan.held_back_by - began) < timedelta(seconds=30)
    assert plan.window.end < plan.held_back_by
    report = cycle(settings)
    assert report.watermark is not None
    assert report.watermark < plan.held_back_by
    writer.rollback()
    assert check_truth(table, database, tmp_path / "out") == {}


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_transaction_that_is_not_tracked_is_hidden(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """With track_activities = off the server says nothing of it; that is not said to be none."""
    files_table(database, rows=10, days=2, files=False)
    settings = make_archive(database, tmp_path / "out")
    writer = database.connect()
    writer.execute("SET track_activities = off")
    with open_archive(settings) as archive:
        assert plan_cycle(archive).hidden_sessions == 1
        writer.close()


@pytest.mark.parametrize(
    ("bad", "limits", "stops"),
    [
        (5, {"max_failures": 4}, True),
        (5, {"max_failures": 5}, False),
        (120, {"max_failure_ratio": 0.5}, True),
        (120, {"max_failure_ratio": 0.7}, False),
        # Below a hundred failures a share says nothing.
        (30, {"max_failure_ratio": 0.01}, False),
    ],
)
def test_thresholds_stop_before_the_watermark(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    bad: int,
    limits: dict[str, float],
    stops: bool,
) -> None:
    table = files_table(database, rows=200, days=1, bad={"missing": bad})
    settings = make_archive(
        database, tmp_path / "out", migration=limits, watermark={"slice": "cycle"}
    )
    before = read_watermark_value(database)
    if stops:
        with pytest.raises(TooManyFailures):
            cycle(settings)
        assert read_watermark_value(database) == before
        assert database.value("SELECT COUNT(*) FROM des_archive_exception") == 0
        relaxed = settings.migration.model_copy(
            update={"max_failures": 1000, "max_failure_ratio": 1.0}
        )
        settings = settings.model_copy(update={"migration": relaxed})
    report = cycle(settings)
    assert report.files_failed == bad
    assert read_watermark_value(database) > before
    assert set(check_truth(table, database, tmp_path / "out")) == set(table.bad)


def test_retries_wait_twice_as_long_each_time_up_to_a_day() -> None:
    waits = [retry_after(attempts) for attempts in range(1, 30)]
    assert waits[0] == FIRST_RETRY_AFTER
    assert waits == sorted(waits)
    assert waits[3] == 8 * FIRST_RETRY_AFTER
    assert waits[-1] == LONGEST_RETRY_AFTER


def test_the_runner_leaves_an_exception_alone_until_it_is_due(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=20, days=1, bad={"missing": 1})
    settings = make_archive(database, tmp_path / "out", watermark={"recheck_days": 0})
    began = datetime.now(UTC)
    tries = []
    for _ in range(3):
        tries.append(cycle(settings).retried.tried)
        database.execute("UPDATE des_archive_exception SET next_attempt = first_seen")
    tries.append(cycle(settings).retried.tried)
    assert tries == [0, 1, 1, 1]
    assert cycle(settings).retried.tried == 0, "not due again yet"
    ((attempts, seen, due),) = database.rows(
        "SELECT attempts, last_seen, next_attempt FROM des_archive_exception"
    )
    assert attempts == 4
    assert as_utc(due) - as_utc(seen) == retry_after(4)
    a_second = timedelta(seconds=1)
    assert began - a_second <= as_utc(seen) <= datetime.now(UTC) + a_second
