"""Triggers and rules of somebody else on our own tables, which keep rows back without an error."""

from pathlib import Path

import pytest

from des_core.basics.errors import DesError, ExitCode, Refused
from des_core.settings.config import Settings
from support.crash.truth import check_truth
from support.program.archive import make_archive
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

WRITES = [
    ("exception", "INSERT"),
    ("exception", "UPDATE"),
    ("slice", "INSERT"),
    ("shard", "INSERT"),
    ("shard", "UPDATE"),
    ("event", "INSERT"),
    ("lease", "UPDATE"),
    ("config", "UPDATE"),
    ("job", "INSERT"),
    ("outcome", "INSERT"),
]
CASES = [(kind, kind, *write) for kind in ("sqlite", "postgres") for write in WRITES]
# PostgreSQL takes no upsert into a table with such a rule.
CASES += [("postgres", "rule", *write) for write in WRITES[:3]]
GUARDS = {
    "sqlite": [
        "CREATE TRIGGER guard BEFORE {event} ON des_archive_{table} BEGIN SELECT RAISE(IGNORE); END"
    ],
    "postgres": [
        "CREATE OR REPLACE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NULL; END $$",
        "CREATE TRIGGER guard BEFORE {event} ON des_archive_{table} FOR EACH ROW"
        " EXECUTE FUNCTION guard()",
    ],
    "rule": ["CREATE RULE guard AS ON {event} TO des_archive_{table} DO INSTEAD NOTHING"],
}


def cycle(settings: Settings) -> None:
    with open_archive(settings) as archive:
        run_cycle(archive)


def guard(database: TestDatabase, kind: str, event: str, table: str) -> None:
    for statement in GUARDS[kind]:
        database.execute(statement.format(event=event, table=table))


def drop(database: TestDatabase, kind: str, table: str) -> None:
    on = "" if kind == "sqlite" else f" ON des_archive_{table}"
    database.execute(f"DROP {'RULE' if kind == 'rule' else 'TRIGGER'} guard{on}")


@pytest.mark.parametrize(
    ("database", "kind", "table", "event"), CASES, indirect=["database"], ids=str
)
def test_a_table_of_ours_that_takes_nothing(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    kind: str,
    table: str,
    event: str,
) -> None:
    """The cycle is refused as a whole, or nothing of it was kept back that a file needs."""
    files = files_table(database, 40, days=4, archived_days=0)
    for row in list(files.rows.values())[3:20:14]:
        Path(row.location).unlink()
    settings = make_archive(database, tmp_path / "out")
    guard(database, kind, event, table)
    try:
        cycle(settings)
    except DesError as error:
        assert error.exit_code is not ExitCode.BUG, error
        assert error.hint
        check_truth(files, database, tmp_path / "out")
        drop(database, kind, table)
        cycle(settings)
    else:
        drop(database, kind, table)
    check_truth(files, database, tmp_path / "out")


@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_exceptions_kept_back_are_named(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files = files_table(database, 40, days=4, archived_days=0)
    Path(next(iter(files.rows.values())).location).unlink()
    settings = make_archive(database, tmp_path / "out")
    guard(database, database.kind, "INSERT", "exception")
    with pytest.raises(Refused, match=r"took 0 of 1 rows.*des_archive_exception") as caught:
        cycle(settings)
    assert "trigger" in str(caught.value.hint)
