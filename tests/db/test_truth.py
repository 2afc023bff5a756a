"""Watermark, audit trail, exceptions, ledger: what is committed together, what is refused."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from des_core.basics.errors import FenceLost, WrongSchema
from des_core.database.connections import Database, open_database
from des_core.ledger.events import check_chain, newest_events, record_event
from des_core.ledger.exceptions import (
    NewException,
    count_open,
    iterate_open,
    record_exceptions,
    resolve_exceptions,
    resolve_range,
)
from des_core.ledger.slices import (
    PackedFor,
    ShardRecord,
    SliceRecord,
    add_slice,
    iterate_shards,
    newest_slices,
    shards_of_day,
    slice_is_recorded,
)
from des_core.ledger.watermark import (
    compute_target,
    move_watermark,
    read_watermark,
    set_lag_days,
    take_fence,
)
from support.program.archive import make_archive
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

NOW = datetime(2024, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
US = timedelta(microseconds=1)


@pytest.fixture
def config(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> Iterator[Database]:
    """A config database with all tables, and a seeded watermark."""
    files_table(database, rows=20, days=4, archived_days=2, files=False)
    settings = make_archive(database, tmp_path / "out")
    opened = open_database(settings.config_url)
    yield opened
    opened.close()


def move(config: Database, to: datetime) -> None:
    with config.write() as tx:
        expected = read_watermark(tx)
        move_watermark(tx, expected=expected, to=to, actor="test", now=NOW)


def test_watermark_keeps_microseconds(config: Database) -> None:
    move(config, NOW)
    with config.read() as tx:
        found = read_watermark(tx)
    assert found.archived_until == NOW
    assert found.updated_by == "test"
    assert found.last_updated == NOW


def test_move_from_a_stale_read_is_refused_and_writes_nothing(config: Database) -> None:
    with config.read() as tx:
        stale = read_watermark(tx)
    move(config, NOW)
    with pytest.raises(FenceLost) as error, config.write() as tx:
        record_event(tx, action="test", actor="me", now=NOW)
        move_watermark(tx, expected=stale, to=NOW + US, actor="test", now=NOW)
    assert "2024-03-01T12:00:00.123456Z" in str(error.value)
    with config.read() as tx:
        assert read_watermark(tx).archived_until == NOW
        actions = [event.action for event in newest_events(tx, limit=9)]
    assert "test" not in actions


def test_a_taken_fence_stops_the_older_writer(config: Database) -> None:
    older = config.transact(take_fence)
    newer = config.transact(take_fence)
    assert newer.fence == older.fence + 1
    with pytest.raises(FenceLost), config.write() as tx:
        move_watermark(tx, expected=older, to=NOW, actor="older", now=NOW)
    with config.write() as tx:
        move_watermark(tx, expected=newer, to=NOW, actor="newer", now=NOW)


def test_an_operators_own_sql_is_noticed(database: TestDatabase, config: Database) -> None:
    found = config.transact(take_fence)
    # Task 3 of the guide, as an operator types it.
    database.execute("UPDATE des_archive_config SET archived_until = '2023-11-01 00:00:00'")
    with pytest.raises(FenceLost), config.write() as tx:
        move_watermark(tx, expected=found, to=NOW, actor="x", now=NOW)
    with config.read() as tx:
        value = read_watermark(tx).archived_until
    assert value.date() == date(2023, 11, 1) or value.date() == date(2023, 10, 31)


def test_lag_days_changes_by_compare_and_set(config: Database) -> None:
    with config.read() as tx:
        found = read_watermark(tx)
    with config.write() as tx:
        set_lag_days(tx, expected=found, lag_days=14, actor="me", now=NOW)
    with pytest.raises(FenceLost), config.write() as tx:
        set_lag_days(tx, expected=found, lag_days=15, actor="me", now=NOW)


def test_no_row_and_a_second_row_are_errors(database: TestDatabase, config: Database) -> None:
    database.execute("DELETE FROM des_archive_config")
    with pytest.raises(WrongSchema, match="no watermark"), config.read() as tx:
        read_watermark(tx)


@pytest.mark.parametrize(
    ("now", "lag_days", "oldest", "target"),
    [
        (NOW, 7, None, datetime(2024, 2, 23, tzinfo=UTC)),
        (NOW, 0, None, datetime(2024, 3, 1, tzinfo=UTC)),
        (NOW, 0, datetime(2024, 2, 29, 8, tzinfo=UTC), datetime(2024, 2, 29, 8, tzinfo=UTC) - US),
        (NOW, 7, datetime(2024, 2, 29, 8, tzinfo=UTC), datetime(2024, 2, 23, tzinfo=UTC)),
    ],
)
def test_target(now: datetime, lag_days: int, oldest: datetime | None, target: datetime) -> None:
    assert compute_target(now, lag_days, oldest) == target


def test_the_trail_is_sealed(database: TestDatabase, config: Database) -> None:
    with config.write() as tx:
        for number in range(3):
            record_event(
                tx,
                action="set",
                actor="zażółć",
                now=NOW + number * US,
                reason='quotes " and \\ and 😀',
                details={"n": number},
            )
    with config.read() as tx:
        check = check_chain(tx)
        last = newest_events(tx, limit=1)[0]
    assert check.broken_at is None
    assert check.events >= 3
    database.execute(
        "UPDATE des_archive_event SET reason = 'other' WHERE event_id = :id",
        {"id": last.event_id - 1},
    )
    with config.read() as tx:
        check = check_chain(tx)
    assert check.broken_at == last.event_id - 1
    database.execute(
        "DELETE FROM des_archive_event WHERE event_id = :id", {"id": last.event_id - 1}
    )
    with config.read() as tx:
        assert check_chain(tx).broken_at == last.event_id


def exception(uid: str, **fields: object) -> NewException:
    values = {
        "uid": uid,
        "created_at": NOW,
        "location": "/x",
        "archived": False,
        "reason": "missing",
        "error": "no such file",
    }
    return NewException(**{**values, **fields})  # type: ignore[arg-type]


def test_exceptions_open_close_and_open_again(config: Database) -> None:
    uids = ["a", "zażółć", "x" * 70_000, "new\nline", "'; DROP", "A"]
    with config.write() as tx:
        record_exceptions(tx, map(exception, uids), now=NOW)
        record_exceptions(tx, [exception("a", reason="changed")], now=NOW)
    found = [item for page in iterate_open(config, page_size=2) for item in page]
    assert [item.uid for item in found] == uids
    assert (found[0].reason, found[0].attempts) == ("changed", 2)
    assert found[0].next_attempt is not None
    with config.write() as tx:
        resolve_exceptions(tx, [("a", NOW), ("A", NOW)], resolution="packed", now=NOW)
    with config.read() as tx:
        counts = count_open(tx)
    assert [(item.reason, item.files) for item in counts] == [("missing", 4)]
    with config.write() as tx:
        record_exceptions(tx, [exception("a")], now=NOW)
        closed = resolve_range(
            tx,
            start=NOW - US,
            end=NOW,
            archived=False,
            resolution="packed",
            now=NOW,
        )
    assert closed == 5


def slice_record(**fields: object) -> SliceRecord:
    values: dict[str, object] = {
        "run_id": "r" * 32,
        "kind": "window",
        "window_start": NOW - timedelta(days=1),
        "window_end": NOW,
        "files_in": 10,
        "files_out": 9,
        "files_failed": 1,
        "files_present": 0,
        "bytes_in": 1000,
        "bytes_out": 500,
        "started_at": NOW,
        "finished_at": NOW,
        "versions": "{}",
    }
    return SliceRecord(**{**values, **fields})  # type: ignore[arg-type]


def test_ledger_gives_back_what_was_written(config: Database) -> None:
    shards = [
        ShardRecord(f"20240229_{b:X}_0000.des", date(2024, 2, 29), b, 0, 3, 300, 200, "0" * 64)
        for b in range(16)
    ]
    record = slice_record()
    assert not slice_is_recorded(config, record)
    with config.write() as tx:
        slice_id = add_slice(tx, record, shards)
    assert slice_is_recorded(config, record)
    assert not slice_is_recorded(config, slice_record(run_id="s" * 32))
    with config.read() as tx:
        known = newest_slices(tx, limit=1)
        names = shards_of_day(tx, date(2024, 2, 29))
    assert known[0].record == record
    assert known[0].slice_id == slice_id
    pages = list(iterate_shards(config, page_size=5))
    assert [len(page) for page in pages] == [5, 5, 5, 1]
    assert [item.record for page in pages for item in page] == sorted(
        shards, key=lambda shard: shard.name
    )
    packed_for = (record.window_start, record.window_end)
    assert names == {shard.name: PackedFor(shard.bucket, *packed_for) for shard in shards}
