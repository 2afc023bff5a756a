"""Each role with exactly the rights that `sql grants` prints: its work goes, anything else not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from cli.conftest import Program, name_roots, write_config
from cli.test_json_contract import check_document
from support.crash.truth import check_truth, read_open_exceptions
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase

SERVERS = pytest.mark.parametrize("database", ["postgres", "mariadb", "mysql"], indirect=True)
PASSWORD = "role-pw"
FORBIDDEN = {
    "runner": (
        "UPDATE files SET archived = archived",
        "DELETE FROM files",
        "DELETE FROM des_archive_event",
        "UPDATE des_archive_event SET actor = 'x'",
        "DELETE FROM des_archive_exception",
        "UPDATE des_archive_slice SET files_out = 0",
        "DROP TABLE des_archive_config",
        "CREATE TABLE mine (id INTEGER)",
    ),
    "exporter": (
        "SELECT file_location FROM files",
        "SELECT * FROM files",
        "SELECT archived FROM files",
        "UPDATE files SET archived = archived",
        "UPDATE des_archive_config SET lag_days = 1",
        "DELETE FROM des_archive_slice",
        "INSERT INTO des_archive_worker (worker_id) VALUES (1)",
    ),
}


@dataclass
class Stage:
    """One archive, and users with names that want quoting."""

    database: TestDatabase
    project: Path
    program: Program
    table: FilesTable
    users: dict[str, str]

    def become(self, role: str | None) -> None:
        """From now on the configuration logs in as this role; None is the superuser."""
        url = self.url(role)
        path = write_config(self.project, url, extra="migration: {grace_days: 0}\n")
        name_roots(path, self.table.root)

    def url(self, role: str | None) -> str:
        url = sa.make_url(self.database.url)
        if role is not None:
            url = url.set(username=self.users[role], password=PASSWORD)
        return url.render_as_string(hide_password=False)

    def grant(self, role: str) -> None:
        """What a DBA does with what the command prints."""
        self.become(None)
        owner = ["--owner", "owner of files"] if role == "admin" and self.is_postgres else []
        line = ("sql", "grants", role, "--to", self.users[role], *owner)
        document = self.program(*line, "--output", "json").json
        check_document(document)
        printed = self.program(*line).out
        for script in document["scripts"]:
            assert script["script"] in printed
            for statement in script["script"].split(";\n"):
                self.database.execute(statement.rstrip(";"))

    def refuses(self, role: str, statement: str) -> bool:
        engine = sa.create_engine(self.url(role), poolclass=sa.NullPool)
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(statement)
        except DBAPIError as exc:
            return any(
                word in str(exc.orig)
                for word in ("permission denied", "must be owner", "denied to user")
            )
        finally:
            engine.dispose()
        return False

    @property
    def is_postgres(self) -> bool:
        return self.database.kind == "postgres"


@pytest.fixture
def stage(
    database: TestDatabase, project: Path, program: Program, files_table: FilesTableFactory
) -> Iterator[Stage]:
    mark = uuid4().hex[:6]
    users = {role: f"Des {role}-{mark}" for role in ("runner", "admin", "exporter")}
    table = files_table(database, rows=60, days=5, archived_days=1, holes=2, bad={"missing": 2})
    stage = Stage(database, project, program, table, users)
    if stage.is_postgres:
        for user in users.values():
            database.execute(f"CREATE ROLE \"{user}\" LOGIN PASSWORD '{PASSWORD}'")
        if not database.rows("SELECT 1 FROM pg_roles WHERE rolname = 'owner of files'"):
            database.execute('CREATE ROLE "owner of files"')
        # PostgreSQL 14 lets everybody make tables there; later ones nobody.
        database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        database.execute('GRANT CREATE ON SCHEMA public TO "owner of files"')
        database.execute('ALTER TABLE files OWNER TO "owner of files"')
    else:
        for user in users.values():
            database.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY '{PASSWORD}'")
    yield stage
    database.close_connections()
    for user in users.values():
        if stage.is_postgres:
            database.execute(f'DROP OWNED BY "{user}" CASCADE')
            database.execute(f'DROP ROLE "{user}"')
        else:
            database.execute(f"DROP USER '{user}'@'%'")
    if stage.is_postgres:
        database.execute('DROP OWNED BY "owner of files" CASCADE')


@SERVERS
def test_each_role_does_its_work_and_nothing_else(stage: Stage) -> None:
    stage.grant("admin")
    stage.become("admin")
    stage.program("migrate", "up", "--yes")
    stage.grant("runner")
    stage.grant("exporter")

    stage.become("runner")
    stage.program("run", expect=3)
    stage.program("run", "--dry-run")
    checks = stage.program("doctor", "--output", "json", expect=None).json["checks"]
    [privileges] = [check for check in checks if check["name"] == "privileges"]
    assert privileges["status"] == "warning", privileges
    stage.program("reconcile", "--every-day")
    assert stage.program("exceptions", "retry", "--yes", expect=None).code in (0, 3)
    stage.program("sources", "delete", "--yes")
    stage.program("verify")
    stage.program("progress")
    output = stage.project / "output"
    assert set(check_truth(stage.table, stage.database, output)) >= set(stage.table.bad)
    reasons = {reason for _, reason in read_open_exceptions(stage.database).values()}
    assert reasons <= {"missing", "pending_at_seed"}

    stage.become("exporter")
    metrics = stage.program("exporter", "--once").out
    assert "des_watermark_lag_days" in metrics
    assert "des_exporter_up 0" not in metrics
    stage.program("progress")

    for role, statements in FORBIDDEN.items():
        for statement in statements:
            assert stage.refuses(role, statement), f"{role} may {statement}"

    stage.become("admin")
    stage.program("watermark", "rewind", "1d", "--yes", "--reason", "a look back")
    stage.program("watermark", "history", "--check")
    stage.program("doctor", expect=None)
    stage.program("backup", "create", "--dir", str(stage.project / "backups"))
    stage.program("migrate", "down", "--yes")


def test_sqlite_has_no_users(
    make_database: Callable[[str], Any], project: Path, program: Program
) -> None:
    write_config(project, make_database("sqlite").url)
    assert "chmod" in program("sql", "grants", "runner", "--to", "x", expect=2).err


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_the_admin_needs_the_owner(database: TestDatabase, project: Path, program: Program) -> None:
    write_config(project, database.url)
    assert "--owner" in program("sql", "grants", "admin", "--to", "x", expect=2).err


@SERVERS
def test_names_are_quoted(database: TestDatabase, project: Path, program: Program) -> None:
    write_config(project, database.url)
    evil = "x'; DROP TABLE files; --\"`\\"
    out = program("sql", "grants", "runner", "--to", evil).out
    quoted = evil.replace('"', '""') if database.kind == "postgres" else evil.replace("\\", "\\\\")
    assert quoted in out or quoted.replace("'", "''") in out
