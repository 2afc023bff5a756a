"""PgBouncer before a PostgreSQL server: what a session means to a client behind a pooler."""

import shutil
import signal
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import psycopg

from support.servers.mysql import unpacked_servers
from support.servers.own_server import OwnServer
from support.servers.postgres import PASSWORD, URL_PASSWORD, USER, PostgresServer

PoolMode = Literal["transaction", "session", "statement"]

# Prepared statements of the protocol die with the backend, as they do in releases before 1.21 and
# wherever this is 0. Everything else is as PgBouncer has it.
_SETTINGS: Mapping[str, str] = {"max_prepared_statements": "0"}


@cache
def find_pgbouncer() -> Path | None:
    """The system's, or the one unpacked beside the system; None if there is none."""
    tree = unpacked_servers() / "pgbouncer" / "usr" / "sbin"
    found = shutil.which("pgbouncer", path=f"{tree}:/usr/sbin:/usr/bin")
    return Path(found) if found else None


class PgBouncer(OwnServer):
    """A pooler, with few backends so that clients share them."""

    remove_signal = signal.SIGTERM

    def __init__(
        self,
        program: Path,
        server: PostgresServer,
        mode: PoolMode = "transaction",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("pgbouncer", f"PgBouncer in {mode} mode")
        self.mode = mode
        self._program = program
        self._settings = {
            "listen_addr": self.host,
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "pool_mode": mode,
            "default_pool_size": "20",
            "auth_type": "scram-sha-256",
            "auth_file": str(self.directory / "users.txt"),
            "admin_users": USER,
            **_SETTINGS,
            **(settings or {}),
        }
        self._upstream = f"* = host={server.host} port={server.port}"

    def url(self, dbname: str) -> str:
        """The SQLAlchemy URL of a database, through the pooler."""
        return f"postgresql+psycopg://{USER}:{URL_PASSWORD}@{self.host}:{self.port}/{dbname}"

    def connect(self, dbname: str) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=USER,
            password=PASSWORD,
            dbname=dbname,
            connect_timeout=10,
            prepare_threshold=None,
        )

    def ask(self, command: str) -> list[tuple[object, ...]]:
        """The rows of a command of the admin console, such as `SHOW SERVERS`."""
        with self.connect("pgbouncer") as console:
            console.autocommit = True
            return console.execute(command.encode()).fetchall()

    def _initialise(self) -> None:
        settings = "\n".join(f"{name} = {value}" for name, value in self._settings.items())
        config = self.directory / "pgbouncer.ini"
        config.write_text(f"[databases]\n{self._upstream}\n[pgbouncer]\n{settings}\n")
        (self.directory / "users.txt").write_text(f'"{USER}" "{PASSWORD}"\n')

    def _command(self) -> list[str | Path]:
        return [self._program, self.directory / "pgbouncer.ini"]

    def _is_ready(self) -> bool:
        try:
            with self.connect("pgbouncer") as console:
                console.autocommit = True
        except psycopg.OperationalError:
            return False
        return True


def version_of(program: Path) -> str:
    """Such as `1.26.1`."""
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return text.split()[1]
