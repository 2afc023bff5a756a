"""A PostgreSQL server of our own, with pytest-postgresql's janitor for its databases."""

import hashlib
import hmac
import os
import re
import shutil
import signal
import subprocess
import uuid
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg
from pytest_postgresql.janitor import DatabaseJanitor

from support.servers.database import TestDatabase
from support.servers.own_server import OwnServer
from support.servers.processes import ServerFailedError, run_tool

StopMode = Literal["smart", "fast", "immediate"]
_STOP_SIGNALS: dict[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
USER = "des_test"
PASSWORD = "pg-s3cret/of@tests"  # with characters that a URL must escape
URL_PASSWORD = "pg-s3cret%2Fof%40tests"
PACKAGES = "postgresql"
_SCRAM_ROUNDS = 16

# fsync off is safe for tests that kill processes (the page cache survives); synchronous_commit
# stays on, or a killed server would forget what it had acknowledged. The session zone is odd on
# purpose: nothing of ours may depend on it.
_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "timezone": "Asia/Kolkata",
    "max_prepared_transactions": "10",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "log_min_messages": "warning",
}


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """The directory with initdb and postgres, and their version, such as `15.18`."""

    directory: Path
    version: str


def find_postgres(environ: Mapping[str, str] | None = None) -> PostgresBinaries | None:
    """The newest server in DES_TEST_PG_BIN, Debian's directories or PATH; None if there is none."""
    environ = os.environ if environ is None else environ
    chosen = environ.get("DES_TEST_PG_BIN")
    if chosen:
        return _read_binaries(Path(chosen))
    candidates = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    on_path = shutil.which("postgres", path=environ.get("PATH"))
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    found = [binaries for path in candidates if (binaries := _read_binaries(path))]
    return max(found, key=lambda binaries: _version_key(binaries.version), default=None)


def _read_binaries(directory: Path) -> PostgresBinaries | None:
    if not (directory / "initdb").exists() or not (directory / "postgres").exists():
        return None
    command = [str(directory / "postgres"), "--version"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(r"\d+(\.\d+)*", text)
    return PostgresBinaries(directory, match[0] if match else text.strip())


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


class PostgresServer(OwnServer):
    """PostgreSQL, also on a socket in its directory.

    Role `USER` is a superuser with `PASSWORD` (SCRAM over TCP, trust on the socket).
    """

    remove_signal = signal.SIGQUIT

    def __init__(
        self, binaries: PostgresBinaries, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__("postgres", f"PostgreSQL {binaries.version}")
        self.binaries = binaries
        self.settings = {**_SETTINGS, **(settings or {})}

    @property
    def version(self) -> str:
        return self.binaries.version

    def stop(self, mode: StopMode = "fast") -> None:
        self._process.stop(_STOP_SIGNALS[mode])

    def url(self, dbname: str) -> str:
        """The SQLAlchemy URL of a database, over TCP."""
        return f"postgresql+psycopg://{USER}:{URL_PASSWORD}@{self.host}:{self.port}/{dbname}"

    def connect(self, dbname: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=USER,
            password=PASSWORD,
            dbname=dbname,
            connect_timeout=10,
        )

    def janitor(
        self, dbname: str, template: str | None = None, *, as_template: bool = False
    ) -> DatabaseJanitor:
        """pytest-postgresql's maker and remover of a database."""
        return DatabaseJanitor(
            user=USER,
            password=PASSWORD,
            host=self.host,
            port=self.port,
            dbname=dbname,
            template_dbname=template,
            as_template=as_template,
        )

    def create_database(self, template: str | None = None) -> str:
        """Make a database with a random name, a copy of `template` if one is named."""
        name = f"des_{uuid.uuid4().hex[:12]}"
        self.janitor(name, template).init()
        return name

    def drop_database(self, dbname: str) -> None:
        self.janitor(dbname).drop()

    def _command(self) -> list[str | Path]:
        return [
            self.binaries.directory / "postgres",
            *("-D", self.data_dir, "-h", self.host, "-p", str(self.port), "-k", self.directory),
            *(f"--{name}={value}" for name, value in self.settings.items()),
        ]

    def _initialise(self) -> None:
        password_file = self.directory / "password"
        password_file.write_text(_scram_secret(PASSWORD) + "\n")
        command: list[str | Path] = [
            *(self.binaries.directory / "initdb", "-D", self.data_dir, "-U", USER),
            *("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password_file}"),
            *("--encoding=UTF8", "--locale=C", "--no-sync"),
        ]
        run_tool(command, cwd=self.directory)

    def _is_ready(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise ServerFailedError(f"a stranger answers on port {self.port}") from error
            return False
        return True


def _scram_secret(password: str) -> str:
    """What the server keeps of a password (RFC 5803), with few rounds: tests connect often, and
    the 4,096 that it takes itself are 2 ms for it, and as many for the client."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ROUNDS)
    client_key, server_key = (
        hmac.digest(salted, label, "sha256") for label in (b"Client Key", b"Server Key")
    )
    stored_key = hashlib.sha256(client_key).digest()
    of_salt, stored, server = (b64encode(raw).decode() for raw in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${_SCRAM_ROUNDS}:{of_salt}${stored}:{server}"


def wait_for_statistics(database: TestDatabase) -> None:
    """Until the server shows what the sessions of this database have counted.

    A session has handed in its numbers when it is gone; before PostgreSQL 15 they are shown later.
    """
    others = (
        "SELECT COUNT(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    while database.value(others):
        pass
    gone_at = database.value("SELECT clock_timestamp()")
    shown_at = "SELECT pg_stat_get_snapshot_timestamp()"
    while (at := database.value(shown_at)) is not None and at < gone_at:
        pass
