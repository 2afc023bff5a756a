"""`des-admin doctor`: finds what is wrong, names the next step, ends with exit code 4."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import CANARY, Archive, Program, name_roots, write_config
from des_core.checks import Status
from des_core.checks.databases import check_clock
from des_core.checks.patient import Patient
from des_core.rows.reader import SourceClock, SourceReader
from support.rows.filesdata import FilesTableFactory, add_odd_row
from support.servers.database import TestDatabase
from support.servers.limited_user import limited_name, limited_user


def statuses(shown: Any) -> dict[str, str]:
    return {check["name"]: check["status"] for check in shown["checks"]}


def problems(shown: Any) -> dict[str, Any]:
    return {c["name"]: c for c in shown["checks"] if c["status"] in {"warning", "failed"}}


def test_a_migrated_archive(archive: Archive, program: Program) -> None:
    shown = program("doctor", "--output", "json").json
    assert shown["healthy"] is True
    found = problems(shown)
    # Test servers run without fsync; the watermark of 2024 is far behind.
    usual = {"durability", "transactions"}
    assert set(found) <= usual | {"watermark", "exceptions", "backup"}
    assert found["exceptions"]["hint"] == "des-admin exceptions list"
    assert found["backup"]["hint"] == "des-admin backup create"
    program("run")
    program("backup", "create", "--dir", str(archive.project / "backups"))
    after = problems(program("doctor", "--output", "json").json)
    assert set(after) <= usual
    assert "→" in program("doctor").out or not after


def test_before_the_cutover(
    program: Program, configured: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(configured, rows=3)
    shown = program("doctor", "--output", "json", expect=4).json
    found = problems(shown)
    assert {"index", "revisions"} <= set(found)
    assert found["revisions"]["hint"] == "des-admin migrate plan"
    assert statuses(shown)["watermark"] == "skipped"


def test_nothing_there_at_all(program: Program, project: Path) -> None:
    write_config(project, f"postgresql://archive:{CANARY}@127.0.0.1:1/none")
    (project / "output").rmdir()
    shown = program("doctor", "--output", "json", expect=4).json
    assert statuses(shown)["source"] == "failed"
    assert statuses(shown)["output"] == "failed"
    assert statuses(shown)["table"] == "skipped"
    program("doctor", expect=4)


@pytest.mark.parametrize(
    ("damage", "name", "words"),
    [
        (["DROP TABLE des_archive_config"], "watermark", "des_archive_config"),
        (["DELETE FROM des_archive_config"], "watermark", "no watermark"),
        (
            ["UPDATE des_archive_config SET archived_until = '2999-01-01 00:00:00.000000'"],
            "watermark",
            "in the future",
        ),
        (["UPDATE des_archive_event SET reason = 'x'"], "audit trail", "content was changed"),
        (
            ["UPDATE des_admin_version SET version_num = '0999_later'"],
            "revisions",
            "does not know",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_is_named(
    damage: list[str], name: str, words: str, sqlite_archive: Archive, program: Program
) -> None:
    sqlite_archive.config.execute_script(damage)
    shown = program("doctor", "--output", "json", expect=4).json
    found = problems(shown)[name]
    assert words in found["detail"]
    assert found["hint"]


def test_two_rows(sqlite_archive: Archive, program: Program) -> None:
    config = sqlite_archive.config
    config.execute("ALTER TABLE des_archive_config RENAME TO kept")
    config.execute("CREATE TABLE des_archive_config AS SELECT * FROM kept")
    config.execute(
        "INSERT INTO des_archive_config SELECT 2, archived_until, 7, NULL, NULL, 0 FROM kept"
    )
    found = problems(program("doctor", "--output", "json", expect=4).json)
    assert "exactly one row" in found["watermark"]["detail"]


def test_rows_without_created_at(program: Program, project: Path, sqlite_archive: Archive) -> None:
    source = sqlite_archive.source
    source.execute("ALTER TABLE files RENAME TO old_files")
    source.execute("CREATE TABLE files AS SELECT * FROM old_files")
    source.execute("CREATE INDEX idx_new ON files (created_at)")
    source.execute("UPDATE files SET created_at = NULL WHERE rowid = 1")
    found = problems(program("doctor", "--output", "json", expect=4).json)
    assert "1 row has no created_at" in found["created_at"]["detail"]


def test_source_roots_and_files(program: Program, sqlite_archive: Archive, project: Path) -> None:
    (project / "empty").mkdir()
    path = project / "des-admin.yaml"
    name_roots(path, project / "empty")
    assert (
        "not mounted"
        in problems(program("doctor", "--output", "json", expect=4).json)["source roots"]["detail"]
    )
    row = min(
        (r for r in sqlite_archive.table.rows.values() if r.created_at.day > 6),
        key=lambda row: row.created_at,
    )
    found = problems(program("doctor", "--output", "json", expect=4).json)
    assert "outside packer.source_roots" in found["source files"]["detail"]
    path.write_text(path.read_text().replace(f"{project}/empty", str(sqlite_archive.table.root)))
    Path(row.location).unlink()
    found = problems(program("doctor", "--output", "json", expect=0).json)
    assert "No such file" in found["source files"]["detail"]


def test_quiet_shows_only_what_is_wrong(sqlite_archive: Archive, program: Program) -> None:
    assert "output" not in program("doctor", "--quiet").out.split()


@pytest.mark.parametrize("database", ["postgres", "mariadb", "mysql"], indirect=True)
def test_missing_privileges_are_named(archive: Archive, program: Program, project: Path) -> None:
    """A user who may do what the runner does, then one who may not even that."""
    source = archive.source
    tables = ("config", "slice", "shard", "exception", "event", "worker", "job", "lease")
    tables += ("outcome", "damage")
    ours = [*(f"des_archive_{table}" for table in tables), "des_admin_version"]
    grants = [f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table}" for table in ours]
    with limited_user(source, [*grants, "GRANT SELECT ON files"]) as limited:
        write_config(project, limited.url)
        found = problems(program("doctor", "--output", "json").json)["privileges"]
        assert found["status"] == "warning"
        assert "columns" in found["detail"]
        assert found["hint"].startswith("des-admin migrate sql up")
        source.execute(f"REVOKE UPDATE ON des_archive_config FROM {limited_name(source)}")
        found = problems(program("doctor", "--output", "json", expect=4).json)["privileges"]
        assert found["status"] == "failed"
        assert "write des_archive_config" in found["detail"]


@pytest.mark.parametrize(
    ("missing", "expected", "words"),
    [
        ("INSERT", 4, "read and write des_archive_slice, des_archive_event, des_archive_shard"),
        ("UPDATE", 4, "set its flags, nor read and write des_archive_config"),
        ("DELETE", 4, "read and write des_archive_worker, des_archive_damage, des_archive_outcome"),
        ("DROP", 0, "drop our tables: enough for the runner"),
        ("TRIGGER", 0, "see its triggers: enough for the runner"),
        ("SHOW VIEW", 0, "see what views read: enough for the runner"),
        ("LOCK TABLES", 0, None),
    ],
)
@pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
def test_each_missing_privilege_is_named(
    archive: Archive,
    program: Program,
    project: Path,
    missing: str,
    expected: int,
    words: str | None,
) -> None:
    source = archive.source
    with limited_user(source, [f"GRANT ALL ON {source.name}.*"]) as limited:
        source.execute(f"REVOKE {missing} ON {source.name}.* FROM {limited_name(source)}")
        write_config(project, limited.url)
        found = problems(program("doctor", "--output", "json", expect=expected).json)
        if words is None:
            assert "privileges" not in found
        else:
            assert words in found["privileges"]["detail"]


@pytest.mark.parametrize("database", ["postgres", "mariadb", "mysql"], indirect=True)
def test_a_database_that_takes_no_writes(archive: Archive, program: Program, project: Path) -> None:
    """What a failover leaves behind the old address."""
    source = archive.source
    with limited_user(source) as limited, read_only(source, limited_name(source)):
        write_config(project, limited.url)
        found = problems(program("doctor", "--output", "json", expect=4).json)["writes"]
        assert found["status"] == "failed"
        for line in (["watermark", "lag", "9", "--yes"], ["migrate", "down", "--yes"]):
            assert "takes no writes" in program(*line, expect=10).err
    write_config(project, source.url)
    assert "writes" not in problems(program("doctor", "--output", "json").json)
    program("watermark", "lag", "9", "--yes")


@contextmanager
def read_only(source: TestDatabase, user: str) -> Iterator[None]:
    """The user may do everything, and nothing that writes."""
    if source.kind == "postgres":
        owner = source.value("SELECT current_user")
        source.execute(f"GRANT {owner} TO {user}")
        source.execute(f"ALTER ROLE {user} SET default_transaction_read_only = on")
        yield
        return
    source.execute(f"GRANT ALL ON {source.name}.* TO {user}")
    source.execute(f"GRANT PROCESS ON *.* TO {user}")
    source.execute("SET GLOBAL read_only = 1")
    try:
        yield
    finally:
        source.execute("SET GLOBAL read_only = 0")


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_rows_that_a_policy_hides_are_not_left_out(
    archive: Archive, program: Program, project: Path
) -> None:
    """Row-level security leaves rows out of what a user reads: the watermark would pass them."""
    source = archive.source
    with limited_user(source) as limited:
        program("migrate", "up", "--yes")
        printed = program("sql", "grants", "runner", "--to", limited_name(source)).out
        for statement in printed.split(";\n"):
            if statement.strip():
                source.execute(statement)
        source.execute("ALTER TABLE files ENABLE ROW LEVEL SECURITY")
        source.execute("CREATE POLICY mine ON files FOR SELECT USING (uid LIKE '%1.jpg')")
        before = source.rows("SELECT archived_until FROM des_archive_config")
        write_config(project, limited.url)
        assert "row-level security" in program("run", expect=4).err
        assert "row-level security" in program("progress", expect=4).err
        found = problems(program("doctor", "--output", "json", expect=4).json)["privileges"]
        assert "read all rows past row-level security" in found["detail"]
        assert source.rows("SELECT archived_until FROM des_archive_config") == before
    write_config(project, source.url)
    program("run", expect=None)
    assert source.rows("SELECT archived_until FROM des_archive_config") > before


@pytest.mark.parametrize("database", ["postgres", "mariadb", "mysql"], indirect=True)
def test_a_time_outside_the_calendar_is_named(archive: Archive, program: Program) -> None:
    source = archive.source
    odd = "infinity" if source.kind == "postgres" else "0000-00-00 00:00:00"
    add_odd_row(source, odd)
    found = problems(program("doctor", "--output", "json", expect=4).json)["created_at"]
    assert odd in found["detail"]
    shown = program(*found["hint"].split()[1:]).out
    assert "created_at" in shown
    program("backup", "create", "--dir", str(archive.project / "backups"))
    program("backup", "check", "--dir", str(archive.project / "backups"))
    program("migrate", "down", "--yes")


def test_a_server_that_takes_its_time_to_answer_is_not_behind(
    sqlite_archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2024, 2, 1, tzinfo=UTC)

    class Watch(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return moment

    def answer_slowly(_: SourceReader) -> SourceClock:
        nonlocal moment
        middle = moment + timedelta(seconds=10)
        moment += timedelta(seconds=20)
        return SourceClock(now=middle, oldest_transaction=None, hidden_sessions=0)

    monkeypatch.setattr("des_core.checks.patient.datetime", Watch)
    monkeypatch.setattr(SourceReader, "clock", answer_slowly)
    patient = Patient(sqlite_archive.settings)
    check = check_clock(patient)
    patient.close()
    assert check.status is Status.OK, check


@pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
def test_a_role_counts_by_what_it_grants(archive: Archive, program: Program, project: Path) -> None:
    source, name = archive.source, limited_name(archive.source)
    role = f"{name}_role"
    source.execute(f"CREATE ROLE {role}")
    try:
        source.execute(f"GRANT SELECT ON {source.name}.* TO {role}")
        with limited_user(source, [f"GRANT {role}"]) as limited:
            word = "FOR" if source.server == "mariadb" else "TO"
            source.execute(f"SET DEFAULT ROLE {role} {word} {name}")
            write_config(project, limited.url)
            found = problems(program("doctor", "--output", "json", expect=4).json)["privileges"]
            assert found["status"] == "failed"
            assert "write des_archive_config" in found["detail"]
            assert "read the table" not in found["detail"]
            source.execute(f"GRANT ALL ON {source.name}.* TO {role}")
            assert "privileges" not in problems(program("doctor", "--output", "json").json)
    finally:
        source.execute(f"DROP ROLE {role}")


def test_a_lag_that_does_not_count_is_named(sqlite_archive: Archive, program: Program) -> None:
    program("run")
    program("watermark", "lag", "9", "--yes")
    found = problems(program("doctor", "--output", "json").json)["watermark"]
    assert "lag 9 days; database.lag_days says 7" in found["detail"]
    assert found["hint"] == "set database.lag_days to 9; or: des-admin watermark lag 7"
    program("watermark", "lag", "7", "--yes")
    assert "watermark" not in problems(program("doctor", "--output", "json").json)
