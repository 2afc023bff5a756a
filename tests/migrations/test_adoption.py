"""A des_archive_config made by hand from the guide is completed and believed."""

from datetime import UTC, datetime

import pytest

from des_core.basics.errors import WrongSchema
from des_core.database.connections import open_database
from des_core.ledger.revisions import Direction
from des_core.ledger.watermark import read_watermark
from des_core.migration.apply import downgrade, make_plan, upgrade
from support.program.archive import adopt_move
from support.program.migrating import open_exceptions, settings_for, watermark_us
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase

UNTIL = datetime(2024, 1, 3, 12, tzinfo=UTC)
GUIDE = {
    "postgres": (
        "CREATE TABLE des_archive_config (id INTEGER PRIMARY KEY,"
        " archived_until TIMESTAMP WITH TIME ZONE NOT NULL, lag_days INTEGER NOT NULL,"
        " last_updated TIMESTAMP WITH TIME ZONE DEFAULT NOW(), updated_by VARCHAR(100))"
    ),
    "mysql": (
        "CREATE TABLE des_archive_config (id INT PRIMARY KEY, archived_until DATETIME NOT NULL,"
        " lag_days INT NOT NULL, last_updated DATETIME DEFAULT CURRENT_TIMESTAMP"
        " ON UPDATE CURRENT_TIMESTAMP) ENGINE=InnoDB"
    ),
    "sqlite": (
        "CREATE TABLE des_archive_config (id INTEGER PRIMARY KEY,"
        " archived_until TIMESTAMP NOT NULL, lag_days INTEGER NOT NULL)"
    ),
}
SHORT = {
    kind: f"CREATE TABLE des_archive_config (id INTEGER PRIMARY KEY, archived_until {type_name}"
    " NOT NULL, lag_days INTEGER NOT NULL)"
    for kind, type_name in (("postgres", "TIMESTAMP"), ("mysql", "DATETIME"), ("sqlite", "TEXT"))
}


def literal(database: TestDatabase, text: str) -> str:
    """A time in UTC, whatever the session's zone; a type without a zone ignores the offset."""
    return f"'{text}+00'" if database.kind == "postgres" else f"'{text}'"


def make_by_hand(database: TestDatabase, create: str) -> None:
    until = literal(database, "2024-01-03 12:00:00")
    database.execute(create)
    database.execute(
        f"INSERT INTO des_archive_config (id, archived_until, lag_days) VALUES (1, {until}, 3)"
    )


@pytest.mark.parametrize("short", [False, True], ids=["guide", "short"])
def test_the_value_stays_and_the_table_is_completed(
    database: TestDatabase, files_table: FilesTableFactory, short: bool
) -> None:
    table = files_table(database, 100, days=5, archived_days=3, holes=6, files=False)
    make_by_hand(database, (SHORT if short else GUIDE)[database.kind])
    settings = settings_for(database)
    plan = make_plan(settings, direction=Direction.UP)
    assert plan.seed is not None
    assert (plan.seed.origin, plan.seed.lag_days) == ("adopted", 3)
    upgrade(settings, plan=plan)
    opened = open_database(settings.config_url)
    with opened.read() as tx:
        watermark = read_watermark(tx)
    opened.close()
    assert (watermark.archived_until, watermark.lag_days, watermark.fence) == (UNTIL, 3, 0)
    pending = {u for u, r in table.rows.items() if r.created_at <= UNTIL and not r.archived}
    assert {uid for uid, _at in open_exceptions(database)} == pending
    exact = literal(database, "2024-01-03 12:00:00.000001")
    database.execute(f"UPDATE des_archive_config SET archived_until = {exact}")
    assert watermark_us(database) % 1_000_000 == 1
    adopt_move(settings)
    with pytest.raises(Exception, match=r"(?i)check|constraint"):
        database.execute("UPDATE des_archive_config SET id = 2")
    with pytest.raises(Exception, match=r"(?i)check|constraint"):
        database.execute("UPDATE des_archive_config SET lag_days = -1")
    downgrade(settings)
    assert "des_archive_config" not in database.table_names()
    again = [row for row in canonical_rows(database) if not row[4]]
    assert {row[0] for row in again} == pending | {
        u for u, r in table.rows.items() if r.created_at > UNTIL
    }


def test_an_empty_table_is_seeded_as_usual(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    database.execute(GUIDE[database.kind])
    settings = settings_for(database)
    upgrade(settings)
    assert database.value("SELECT lag_days FROM des_archive_config") == 7


def test_a_lag_that_is_a_decimal_number_is_the_number(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 10, days=1, files=False)
    make_by_hand(
        database,
        f"CREATE TABLE des_archive_config (id DECIMAL(9) PRIMARY KEY, archived_until"
        f" {TYPES[database.kind][0]} NOT NULL, lag_days DECIMAL(9) NOT NULL)",
    )
    settings = settings_for(database)
    upgrade(settings)
    opened = open_database(settings.config_url)
    with opened.read() as tx:
        assert read_watermark(tx).lag_days == 3
    opened.close()
    downgrade(settings)


@pytest.mark.parametrize("identity", [2, 7])
def test_another_row_is_an_error(
    database: TestDatabase, files_table: FilesTableFactory, identity: int
) -> None:
    files_table(database, 10, days=1, files=False)
    make_by_hand(database, GUIDE[database.kind])
    if identity == 7:
        database.execute("UPDATE des_archive_config SET id = 7")
    else:
        database.execute(
            "INSERT INTO des_archive_config (id, archived_until, lag_days)"
            " VALUES (2, '2024-01-04 00:00:00', 3)"
        )
    with pytest.raises(WrongSchema, match="exactly one row"):
        upgrade(settings_for(database))
    assert "des_archive_slice" not in database.table_names()


# Tables of that name as people make them: where, and with which columns.
TYPES = {
    "postgres": ("timestamptz", "integer"),
    "mysql": ("datetime", "int"),
    "sqlite": ("timestamp", "integer"),
}
KEY = "id {n} PRIMARY KEY, archived_until {t}, "
SERVERS = ("postgres", "mariadb", "mysql")
FORMS = {
    "text for a time": (SERVERS, "id {n} PRIMARY KEY, archived_until varchar(40), lag_days {n}"),
    "a day for a time": (SERVERS, "id {n} PRIMARY KEY, archived_until date, lag_days {n}"),
    "text for a number": (SERVERS, "id varchar(9), archived_until {t}, lag_days {n}"),
    "text for a lag": (SERVERS, KEY + "lag_days varchar(9)"),
    "no lag": (("sqlite", *SERVERS), KEY + "note {n}"),
    "a short actor": (SERVERS, KEY + "lag_days {n}, updated_by varchar(10)"),
    "a number for an actor": (SERVERS, KEY + "lag_days {n}, updated_by {n}"),
    "another number": (SERVERS, KEY + "lag_days {n}, tenant {n} NOT NULL"),
    "a note": (("sqlite",), KEY + "lag_days {n}, note text"),
    "an engine of its own": (("mariadb", "mysql"), KEY + "lag_days {n}"),
}
ROWS = {
    "a lag below zero": "'2024-01-03 12:00:00', -1",
    "no lag at all": "'2024-01-03 12:00:00', NULL",
    "no time": "NULL, 3",
}


def refuses(database: TestDatabase) -> str:
    """By name, at plan and at up, with nothing made."""
    before = database.table_names()
    for call in (lambda s: make_plan(s, direction=Direction.UP), upgrade):
        with pytest.raises(WrongSchema, match=r"des_archive_config|not a time") as caught:
            call(settings_for(database))
    assert caught.value.hint
    assert database.table_names() - {"des_archive_lease"} == before
    return str(caught.value)


@pytest.mark.parametrize(
    ("database", "form"),
    [(server, form) for form, (servers, _) in FORMS.items() for server in servers],
    indirect=["database"],
)
def test_a_form_that_cannot_be_completed_is_refused_by_name(
    database: TestDatabase, files_table: FilesTableFactory, form: str
) -> None:
    files_table(database, 10, days=1, files=False)
    time_type, number = TYPES[database.kind]
    words = FORMS[form][1].format(t=time_type, n=number)
    engine = " ENGINE=MyISAM" if form == "an engine of its own" else ""
    database.execute(f"CREATE TABLE des_archive_config ({words}){engine}")
    refuses(database)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_that_says_nothing_is_refused_by_name(
    database: TestDatabase, files_table: FilesTableFactory, row: str
) -> None:
    files_table(database, 10, days=1, files=False)
    time_type, number = TYPES[database.kind]
    null = " NULL" if database.kind == "mysql" else ""
    database.execute(
        f"CREATE TABLE des_archive_config (id {number} PRIMARY KEY,"
        f" archived_until {time_type}{null}, lag_days {number})"
    )
    database.execute(f"INSERT INTO des_archive_config VALUES (1, {ROWS[row]})")
    refuses(database)


def test_a_view_of_that_name_is_refused(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 10, days=1, files=False)
    database.execute(SHORT[database.kind].replace("des_archive_config", "settings"))
    database.execute("CREATE VIEW des_archive_config AS SELECT * FROM settings")
    assert "view" in refuses(database)
