"""Where the watermark starts, and what is captured below."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from des_core.basics.errors import Refused, WrongSchema
from des_core.basics.timestamps import parse_time
from des_core.ledger.revisions import Direction
from des_core.migration.apply import downgrade, make_plan, upgrade
from des_core.migration.base.migration import MigrationOptions, open_migration
from des_core.migration.gate.checks import nothing_archived_above
from support.program.migrating import open_exceptions, settings_for, watermark_us
from support.rows.filesdata import FilesTableFactory, add_odd_row, canonical_rows
from support.servers.database import TestDatabase, to_microseconds

DAY = datetime(2024, 1, 1, tzinfo=UTC)


def at(moment: datetime) -> int:
    value = to_microseconds(moment)
    assert value is not None
    return value


def test_nothing_archived_starts_below_the_oldest_row(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 30, days=3, files=False)
    upgrade(settings_for(database))
    assert watermark_us(database) == at(DAY - timedelta(days=1))
    assert open_exceptions(database) == {}


@pytest.mark.parametrize(("days", "expected"), [(-10, -10), (5, -1)])
def test_the_default_counts_only_below_the_oldest_row(
    database: TestDatabase, files_table: FilesTableFactory, days: int, expected: int
) -> None:
    files_table(database, 30, days=3, files=False)
    default = DAY + timedelta(days=days)
    upgrade(settings_for(database, watermark={"default_archived_until": default}))
    assert watermark_us(database) == at(DAY + timedelta(days=expected))


def test_an_empty_table_starts_at_the_target(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 0)
    upgrade(settings_for(database, lag_days=3))
    age = at(datetime.now(UTC)) - watermark_us(database)
    assert 3 * 86_400_000_000 <= age < 4 * 86_400_000_000 + 60_000_000


def test_ties_at_the_seed_are_told_apart(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    table = files_table(database, 0)
    moment = DAY + timedelta(hours=5, microseconds=7)
    table.add("archived", moment, archived=True)
    table.add("pending", moment)
    table.add("later", moment + timedelta(microseconds=1))
    upgrade(settings_for(database))
    assert watermark_us(database) == at(moment)
    assert open_exceptions(database) == {("pending", at(moment)): False}


@pytest.mark.parametrize("days", [1, 4])
def test_seed_at_captures_below_and_packs_again_above(
    database: TestDatabase, files_table: FilesTableFactory, days: int
) -> None:
    table = files_table(database, 60, days=6, archived_days=3, holes=4, files=False)
    seed = DAY + timedelta(days=days)
    settings, options = settings_for(database), MigrationOptions(seed_at=seed)
    plan = make_plan(settings, direction=Direction.UP, options=options)
    upgrade(settings, options=options, plan=plan)
    rows = table.rows.values()
    holes = {(r.uid, at(r.created_at)) for r in rows if r.created_at <= seed and not r.archived}
    again = [r for r in rows if r.created_at > seed and r.archived]
    assert plan.seed is not None
    assert (plan.seed.holes.rows, plan.seed.repacked.rows) == (len(holes), len(again))
    assert set(open_exceptions(database)) == holes
    assert watermark_us(database) == at(seed)


def test_a_seed_in_the_future_is_refused(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    table = files_table(database, 10, days=1, files=False)
    future = datetime.now(UTC) + timedelta(days=2)
    with pytest.raises(Refused, match="future"):
        upgrade(settings_for(database), options=MigrationOptions(seed_at=future))
    table.add("tomorrow", future, archived=True)
    with pytest.raises(Refused, match="future"):
        upgrade(settings_for(database))


def test_a_row_of_a_far_off_time_is_named_and_keeps_nothing_from_going(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    """A device's clock: the newest row before now is named beside it, and the way there is open."""
    table = files_table(database, 40, days=4, archived_days=2, files=False)
    sane = max(row.created_at for row in table.rows.values() if row.archived)
    table.add("device", datetime(2099, 1, 1, tzinfo=UTC), archived=True)
    settings = settings_for(database)
    with pytest.raises(Refused, match="2099") as caught:
        make_plan(settings, direction=Direction.UP)
    hint = caught.value.hint or ""
    seed_at = parse_time(hint.partition("--seed-at ")[2], now=datetime.now(UTC))
    assert seed_at == sane
    upgrade(settings, options=MigrationOptions(seed_at=seed_at))
    drop = MigrationOptions(drop_archived=True, backup="dump of Monday")
    plan = make_plan(settings, direction=Direction.UP, options=drop)
    [above] = [finding for finding in plan.gate if finding.check == "above"]
    assert above.is_warning
    assert "marked archived in the future: 1 row;" in above.text
    upgrade(settings, options=drop)
    downgrade(settings)
    flags = {row[0]: row[4] for row in canonical_rows(database)}
    assert not flags.pop("device")
    assert flags == {uid: row.archived for uid, row in table.rows.items() if uid != "device"}


def test_too_many_holes_are_refused_with_the_alternatives(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 100, days=5, archived_days=4, holes=11, files=False)
    few = settings_for(database, migration={"max_captured": 10})
    with pytest.raises(Refused, match="too many rows") as caught:
        make_plan(few, direction=Direction.UP)
    assert "--seed-at" in (caught.value.hint or "")
    assert "archived rows would be packed again" in (caught.value.hint or "")
    assert "des-migrate" in (caught.value.hint or "")
    with pytest.raises(Refused, match="too many rows"):
        upgrade(few)
    upgrade(settings_for(database, migration={"max_captured": 11}))
    assert len(open_exceptions(database)) == 11


def test_holes_come_in_pages(
    database: TestDatabase, files_table: FilesTableFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("des_core.migration.seed.seeding.HOLE_PAGE_SIZE", 3)
    table = files_table(database, 60, days=3, archived_days=2, holes=20, ties=5, files=False)
    upgrade(settings_for(database))
    newest = max(row.created_at for row in table.rows.values() if row.archived)
    expected = {
        (row.uid, at(row.created_at))
        for row in table.rows.values()
        if row.created_at <= newest and not row.archived
    }
    assert set(open_exceptions(database)) == expected


def test_pages_of_holes_miss_none_where_uids_are_numbers(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As text, 10 comes before 9; the pages go by the column's own order."""
    monkeypatch.setattr("des_core.migration.seed.seeding.HOLE_PAGE_SIZE", 3)
    kind = {"postgres": "timestamptz", "mysql": "DATETIME(6)", "sqlite": "TEXT"}[database.kind]
    database.execute(
        f"CREATE TABLE files (uid BIGINT PRIMARY KEY, created_at {kind} NOT NULL,"
        " file_location VARCHAR(99), archived BOOLEAN NOT NULL)"
        + (" WITHOUT ROWID" if database.kind == "sqlite" else "")
    )
    for uid in range(95, 106):
        database.execute(f"INSERT INTO files VALUES ({uid}, '2024-01-01', '/x', FALSE)")
    database.execute("INSERT INTO files VALUES (1, '2024-01-02', '/x', TRUE)")
    upgrade(settings_for(database))
    assert {uid for uid, _at in open_exceptions(database)} == {str(n) for n in range(95, 106)}


def test_archived_may_be_null(database: TestDatabase) -> None:
    kind = {"postgres": "timestamptz", "mysql": "DATETIME(6)", "sqlite": "TEXT"}[database.kind]
    uid = "VARCHAR(40)"
    database.execute(
        f"CREATE TABLE files (uid {uid} PRIMARY KEY, created_at {kind},"
        " file_location VARCHAR(99), archived BOOLEAN)"
    )
    for number, archived in enumerate(["TRUE", "NULL", "FALSE", "TRUE", "NULL"], 1):
        database.execute(
            f"INSERT INTO files VALUES ('u{number}', '2024-01-0{number}', '/x', {archived})"
        )
    database.execute("INSERT INTO files VALUES ('never', NULL, '/x', NULL)")
    plan = make_plan(settings_for(database), direction=Direction.UP)
    assert plan.seed is not None
    assert (plan.seed.holes.rows, plan.seed.unseen.rows) == (2, 1)
    upgrade(settings_for(database))
    assert {uid for uid, _at in open_exceptions(database)} == {"u2", "u3"}


def test_a_table_without_the_column_starts_below_everything(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 20, days=2, files=False)
    database.execute("DROP INDEX idx_files_created_archived" + _on_files(database))
    database.execute("ALTER TABLE files DROP COLUMN archived")
    settings = settings_for(database)
    plan = make_plan(settings, direction=Direction.UP)
    assert plan.seed is not None
    assert plan.seed.origin == "below_oldest"
    assert any("no column archived" in note for note in plan.seed.notes)
    upgrade(settings, plan=plan)
    assert watermark_us(database) == at(DAY - timedelta(days=1))


ODD_TIMES = {
    "sqlite": ["2024-02-30 10:00:00", "2024-01-01 24:00:01", "soon", "", "9999-12-31", "0000-1-1"],
    "postgres": ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01", "9999-12-31"],
    "mysql": ["0000-00-00 00:00:00", "0000-05-01", "9999-12-31 23:59:59"],
}


@pytest.mark.parametrize("drop", [False, True], ids=["keep", "drop"])
def test_what_is_no_time_is_not_archived_there_and_back(
    database: TestDatabase, files_table: FilesTableFactory, drop: bool
) -> None:
    """No watermark speaks of such a row, so no window packs it: it stops nothing, and stays as it
    was, but for a flag that nobody can keep for it."""
    files_table(database, 40, days=4, archived_days=2, holes=2, files=False)
    settings, before = settings_for(database), canonical_rows(database)
    for number, odd in enumerate(ODD_TIMES[database.kind]):
        add_odd_row(database, odd, uid=f"odd {number}")
        add_odd_row(database, odd, uid=f"archived {number}", archived=True)
    odd_rows = 2 * len(ODD_TIMES[database.kind])
    options = MigrationOptions(drop_archived=drop, backup="dump of Monday")
    plan = make_plan(settings, direction=Direction.UP, options=options)
    assert plan.seed is not None
    assert plan.seed.unseen.rows == odd_rows
    assert (plan.seed.oldest_row, plan.seed.holes.rows) == (DAY, 2)
    upgrade(settings, options=options)
    if not drop:
        with open_migration(settings) as migration:
            assert nothing_archived_above(migration).is_warning
    if not drop:
        add_odd_row(database, ODD_TIMES[database.kind][0], uid="odd since")
    downgrade(settings)
    flags = database.rows("SELECT uid, archived FROM files WHERE uid LIKE 'odd%'")
    flags += database.rows("SELECT uid, archived FROM files WHERE uid LIKE 'archived%'")
    assert len(flags) == odd_rows + (not drop)
    assert not any(archived for _uid, archived in flags)
    database.execute("DELETE FROM files WHERE uid LIKE 'odd%' OR uid LIKE 'archived%'")
    assert canonical_rows(database) == before


IMPOSSIBLE = {
    "2024-01-02 10:00:00": "2024-01-02T10:00:00Z",
    "2024-02-30 10:00:00": "2024-03-01T00:00:00Z",
    "2024-00-10 10:00:00": "2024-01-01T00:00:00Z",
    "2024-01-00 10:00:00": "2024-01-01T00:00:00Z",
    "2023-11-31 00:00:00": "2023-12-01T00:00:00Z",
}


@pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
def test_an_impossible_day_of_mysql_stands_for_the_first_real_instant_after_it(
    database: TestDatabase, files_table: FilesTableFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server orders it between real times, so each page and each window finds it there."""
    monkeypatch.setattr("des_core.migration.seed.seeding.HOLE_PAGE_SIZE", 2)
    files_table(database, 0)
    for text in IMPOSSIBLE:
        add_odd_row(database, text, uid=text)
    add_odd_row(database, "2024-03-02", uid="newest", archived=True)
    settings = settings_for(database)
    upgrade(settings)
    assert dict(iter(open_exceptions(database))) == {
        text: at(datetime.fromisoformat(instant)) for text, instant in IMPOSSIBLE.items()
    }
    downgrade(settings)
    assert dict(database.rows("SELECT uid, archived FROM files")) == dict.fromkeys(
        IMPOSSIBLE, 0
    ) | {"newest": 1}


@pytest.mark.sqlite
def test_sqlite_reads_every_form_of_a_time(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory
) -> None:
    database = make_database("sqlite")
    files_table(database, 0)
    forms = [
        ("a", "2024-01-01T10:00:00Z", 1),
        ("b", "2024-01-02 00:30:00.5+02:00", 1),
        ("c", "2024-01-01T23:00:00.000001", 1),
        ("hole", "2024-01-01 22:00:00", 0),
        ("d", "2024-01-01T23:00:00.000002", 0),
        ("e", "2024-01-02T00:00:00+00:30", 0),
    ]
    for uid, text, archived in forms:
        database.execute(
            "INSERT INTO files VALUES (:uid, :at, '/x', 1, :archived)",
            {"uid": uid, "at": text, "archived": archived},
        )
    upgrade(settings_for(database))
    assert watermark_us(database) == at(datetime(2024, 1, 1, 23, 0, 0, 1, UTC))
    assert {uid for uid, _at in open_exceptions(database)} == {"hole"}


@pytest.mark.sqlite
def test_pages_of_holes_miss_none_where_times_have_several_forms(
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As text, every time with a space comes before every one of the same day with a T."""
    monkeypatch.setattr("des_core.migration.seed.seeding.HOLE_PAGE_SIZE", 3)
    database = make_database("sqlite")
    files_table(database, 0)
    holes = {f"2024-01-01{' T'[hour % 2]}{hour:02d}:00:00" for hour in range(24)}
    for text in [*sorted(holes), "2024-01-02 00:00:00"]:
        database.execute(
            "INSERT INTO files VALUES (:at, :at, '/x', 1, :archived)",
            {"at": text, "archived": text not in holes},
        )
    upgrade(settings_for(database))
    assert {uid for uid, _at in open_exceptions(database)} == holes


def test_a_table_that_is_missing_changes_nothing(database: TestDatabase) -> None:
    database.execute("CREATE TABLE filez (uid INTEGER)")
    with pytest.raises(WrongSchema, match="no table files") as caught:
        upgrade(settings_for(database))
    assert "filez" in (caught.value.hint or "")
    assert database.table_names() - {"des_archive_lease"} == {"filez"}


def _on_files(database: TestDatabase) -> str:
    return " ON files" if database.kind == "mysql" else ""
