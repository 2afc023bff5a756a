"""MariaDB and MySQL servers of our own: one class, told apart by where their programs are."""

import contextlib
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pymysql

from support.servers.own_server import OwnServer
from support.servers.processes import ServerFailedError, run_tool, server_user

USER = "des_test"
PASSWORD = "my-s3cret/of@tests"  # with characters that a URL must escape
URL_PASSWORD = "my-s3cret%2Fof%40tests"

Product = Literal["mariadb", "mysql"]

# flush_log 2 writes at each commit and leaves the sync to the system: fast, and a commit outlives
# a killed server. The session zone is odd on purpose: nothing of ours may depend on it.
_OPTIONS: Mapping[str, str] = {
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-buffer-pool-size": "64M",
    "default-time-zone": "+05:30",
    "character-set-server": "utf8mb4",
    "max-connections": "60",
    "max-allowed-packet": "64M",
}
# MySQL keeps what it does unless told otherwise: a binary log and its performance schema.
_OWN_OPTIONS: Mapping[Product, Mapping[str, str]] = {
    "mariadb": {"innodb-log-file-size": "32M", "performance-schema": "off"},
    "mysql": {
        "innodb-redo-log-capacity": "64M",
        "sync-binlog": "0",
        "secure-file-priv": "",
        "loose-mysqlx": "OFF",
    },
}
_INIT_SQL = f"""\
CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;
"""
_SCRIPT = Path(__file__).parents[3] / "scripts" / "unpack-servers"


@dataclass(frozen=True, slots=True)
class MySqlBinaries:
    """Where a server's programs are, and its version, such as `10.11.19`.

    `programs` are the directories of clients and tools, as PATH writes them. `base` is None for
    what the system has installed; other servers must be told where their own files are.
    """

    product: Product
    server: Path
    programs: str
    version: str
    base: Path | None = None

    @property
    def name(self) -> str:
        return f"{'MariaDB' if self.product == 'mariadb' else 'MySQL'} {self.version}"

    def program(self, name: str) -> str:
        """The path of a client or tool that came with the server."""
        found = shutil.which(name, path=self.programs)
        if found is None:
            raise FileNotFoundError(f"{name} did not come with {self.name}")
        return found


def find_mariadb(environ: Mapping[str, str] | None = None) -> MySqlBinaries | None:
    """The server in DES_TEST_MARIADB_BIN, or in PATH and the sbin directories; None if none."""
    environ = os.environ if environ is None else environ
    chosen = environ.get("DES_TEST_MARIADB_BIN")
    found = _find("mariadb", "mariadbd", chosen or _system_path(environ))
    return found if found and shutil.which("mariadb-install-db", path=found.programs) else None


def find_mysql(environ: Mapping[str, str] | None = None) -> MySqlBinaries | None:
    """The server in DES_TEST_MYSQL_BIN, the system's, or the one unpacked beside the system."""
    environ = os.environ if environ is None else environ
    chosen = environ.get("DES_TEST_MYSQL_BIN")
    if chosen:
        return _find("mysql", "mysqld", chosen)
    tree = unpacked_servers() / "mysql" / "usr"
    return _find("mysql", "mysqld", _system_path(environ)) or _find(
        "mysql", "mysqld", f"{tree}/sbin:{tree}/bin"
    )


def _system_path(environ: Mapping[str, str]) -> str:
    return f"{environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/bin"


@cache
def unpacked_servers() -> Path:
    """Where scripts/unpack-servers puts what it unpacks; called without a name it only says so."""
    done = subprocess.run([_SCRIPT], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


@cache
def _find(product: Product, program: str, path: str) -> MySqlBinaries | None:
    server = shutil.which(program, path=path)
    if server is None:
        return None
    text = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    if ("MariaDB" in text) != (product == "mariadb"):  # MariaDB answers to mysqld, too
        return None
    match = re.search(r"\d+\.\d+\.\d+", text)
    base = Path(server).resolve().parent.parent
    return MySqlBinaries(
        product,
        Path(server),
        path,
        match[0] if match else text.strip(),
        None if base == Path("/usr") else base,
    )


class MySqlServer(OwnServer):
    """MariaDB or MySQL, also on a socket in its directory. `USER` may do everything."""

    def __init__(self, binaries: MySqlBinaries, options: Mapping[str, str] | None = None) -> None:
        super().__init__(binaries.product, binaries.name)
        self.binaries = binaries
        self.product = binaries.product
        self.options = {**_OPTIONS, **_OWN_OPTIONS[self.product], **(options or {})}
        self.socket = self.directory / f"{self.product}.sock"

    @property
    def version(self) -> str:
        return self.binaries.version

    def url(self, dbname: str) -> str:
        """The SQLAlchemy URL of a database, over TCP."""
        return f"mysql+pymysql://{USER}:{URL_PASSWORD}@{self.host}:{self.port}/{dbname}"

    def connect(self, dbname: str | None = None) -> "pymysql.connections.Connection[Any]":
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=USER,
            password=PASSWORD,
            database=dbname,
            charset="utf8mb4",
            connect_timeout=10,
        )

    def create_database(self) -> str:
        """Make a database with a random name."""
        name = f"des_{uuid.uuid4().hex[:12]}"
        self._run(f"CREATE DATABASE `{name}`")
        return name

    def drop_database(self, dbname: str) -> None:
        """Drop a database; sessions that still hold it are killed, or the DROP would wait."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (dbname,))
            for (session,) in cursor.fetchall():
                with contextlib.suppress(pymysql.OperationalError):  # it went by itself
                    cursor.execute("KILL %s", (session,))
            cursor.execute(f"DROP DATABASE IF EXISTS `{dbname}`")

    def _run(self, statement: str) -> None:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def _places(self) -> list[str]:
        """Where a server that is not installed finds its own files."""
        base = self.binaries.base
        if base is None:
            return []
        plugins = base / "lib" / "mysql" / "plugin"
        messages = [base / "share" / name for name in ("mariadb", "mysql")]
        return [
            f"--basedir={base}",
            f"--lc-messages-dir={next(filter(Path.is_dir, messages), base)}",
            *([f"--plugin-dir={plugins}"] if plugins.is_dir() else []),
        ]

    def _command(self) -> list[str | Path]:
        return [
            *(self.binaries.server, "--no-defaults", f"--datadir={self.data_dir}", *self._places()),
            *(f"--socket={self.socket}", f"--port={self.port}", f"--bind-address={self.host}"),
            *(f"--pid-file={self.directory / 'server.pid'}", f"--tmpdir={self.directory}"),
            f"--init-file={self.directory / 'init.sql'}",
            *(f"--{name}={value}" for name, value in self.options.items()),
        ]

    def _initialise(self) -> None:
        (self.directory / "init.sql").write_text(_INIT_SQL)
        try:
            self._make_data()
        except ServerFailedError:  # seen where several servers are made at the same moment
            shutil.rmtree(self.data_dir, ignore_errors=True)
            self._make_data()

    def _make_data(self) -> None:
        if self.product == "mysql":
            run_tool(
                [
                    *(self.binaries.server, "--no-defaults", "--initialize-insecure"),
                    *(f"--datadir={self.data_dir}", *self._places()),
                ],
                cwd=self.directory,
            )
            return
        command: list[str | Path] = [
            *(self.binaries.program("mariadb-install-db"), "--no-defaults"),
            *(f"--datadir={self.data_dir}", *self._places()[:1]),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
            "--innodb-log-file-size=32M",
        ]
        user = server_user()
        if user is not None:
            command.append(f"--user={user}")
        run_tool(command, cwd=self.directory)

    def _is_ready(self) -> bool:
        try:
            self.connect().close()
        except pymysql.OperationalError:
            return False
        return True
