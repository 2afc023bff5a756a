"""Fixtures of all tests: servers, fresh databases, made-up files."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from pytest_postgresql.executors import NoopExecutor

from des_core.basics.timestamps import floor_day
from support.program.own_process import ONE_AUTHORITY
from support.rows.filesdata import (
    FileRow,
    FilesSpec,
    FilesTable,
    FilesTableFactory,
    make_files_table,
)
from support.servers.database import TestDatabase, sqlite_database
from support.servers.kinds import (
    database_on,
    describe_servers,
    is_ci,
    require_mysql,
    require_server,
)
from support.servers.mysql import MySqlServer, Product
from support.servers.pgbouncer import PgBouncer, PoolMode, find_pgbouncer
from support.servers.postgres import PASSWORD, USER, PostgresServer, find_postgres

# How long an example takes says more about the machine than about the code. CI draws the same
# examples each time.
settings.register_profile("laptop", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", settings.get_profile("laptop"), derandomize=True, database=None, print_blob=True
)
settings.load_profile("ci" if is_ci() else "laptop")

BEFORE_MIDNIGHT, BEFORE_MIDNIGHT_SLOW = timedelta(minutes=1), timedelta(minutes=5)
SERVERS = ("sqlite", "postgres", "mariadb", "mysql")

os.environ.update(ONE_AUTHORITY)

# A shell's background job ignores Ctrl-C, and so would the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate-golden",
        action="store_true",
        help="write golden files anew instead of comparing with them; review the difference",
    )


def pytest_configure(config: pytest.Config) -> None:
    for server in SERVERS:
        config.addinivalue_line("markers", f"{server}: needs a database on {server}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """No test begins shortly before midnight: half of it would be of another day than the rest.

    What the product does at midnight is for tests that say what time it is.
    """
    now = datetime.now(UTC)
    left = floor_day(now) + timedelta(days=1) - now
    if left < (BEFORE_MIDNIGHT_SLOW if item.get_closest_marker("slow") else BEFORE_MIDNIGHT):
        time.sleep(left.total_seconds() + 1)
    return (yield)


def pytest_report_header() -> str:
    return describe_servers()


@pytest.fixture(scope="session")
def regenerate_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written anew."""
    return bool(request.config.getoption("--regenerate-golden"))


@pytest.fixture(scope="session")
def rounds() -> int:
    """How often a crash proof repeats itself: DES_TEST_ROUNDS, or few times."""
    return int(os.environ.get("DES_TEST_ROUNDS", "10"))


@pytest.fixture(scope="session")
def is_soak() -> bool:
    """Whether somebody said how often the crash proofs are to be repeated: `make soak` does."""
    return "DES_TEST_ROUNDS" in os.environ


@pytest.fixture
def golden(regenerate_golden: bool) -> Callable[[Path, str], None]:
    """Compares a text with a golden file, or writes the file with --regenerate-golden."""

    def compare(path: Path, actual: str) -> None:
        if regenerate_golden:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(actual)
        assert path.exists(), f"{path} is missing: run with --regenerate-golden, then review it"
        assert actual == path.read_text(), f"differs from {path} (--regenerate-golden rewrites it)"

    return compare


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The PostgreSQL server that the tests of this process share; never stop it in a test."""
    binaries = find_postgres()
    if binaries is None:
        require_server("PostgreSQL")
    with PostgresServer(binaries) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MySqlServer]:
    """The MariaDB server that the tests of this process share; never stop it in a test."""
    with MySqlServer(require_mysql("mariadb")) as server:
        yield server


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MySqlServer]:
    """The MySQL server that the tests of this process share; never stop it in a test."""
    with MySqlServer(require_mysql("mysql")) as server:
        yield server


@pytest.fixture
def private_postgres() -> Iterator[Callable[..., PostgresServer]]:
    """Starts servers that a test may stop, kill and restart; settings as keyword arguments."""
    started: list[PostgresServer] = []

    def start(**settings: str) -> PostgresServer:
        binaries = find_postgres()
        if binaries is None:
            require_server("PostgreSQL")
        started.append(PostgresServer(binaries, settings))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.remove()


@pytest.fixture
def private_mysql() -> Iterator[Callable[..., MySqlServer]]:
    """Starts servers of the MySQL family that a test may stop, kill and restart.

    The product, then options as keyword arguments.
    """
    started: list[MySqlServer] = []

    def start(product: Product, **options: str) -> MySqlServer:
        named = {name.replace("_", "-"): value for name, value in options.items()}
        started.append(MySqlServer(require_mysql(product), named))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.remove()


@pytest.fixture
def pooled_postgres(
    postgres_server: PostgresServer,
) -> Iterator[Callable[..., PgBouncer]]:
    """Starts poolers before the shared PostgreSQL; the mode, then settings as keyword arguments."""
    started: list[PgBouncer] = []

    def start(mode: PoolMode, **settings: str) -> PgBouncer:
        program = find_pgbouncer() or require_server("PgBouncer")
        started.append(PgBouncer(program, postgres_server, mode, settings))
        started[-1].start()
        return started[-1]

    yield start
    for pooler in started:
        pooler.remove()


@pytest.fixture(scope="session")
def postgresql_proc(postgres_server: PostgresServer) -> Iterator[NoopExecutor]:
    """Our server for pytest-postgresql's own `postgresql` fixture, whose stock one refuses root."""
    executor = NoopExecutor(
        host=postgres_server.host,
        port=postgres_server.port,
        user=USER,
        password=PASSWORD,
        dbname=f"stock_{uuid4().hex[:8]}",
        options="",
    )
    with postgres_server.janitor(executor.template_dbname, as_template=True):
        yield executor


@pytest.fixture
def make_database(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[str], TestDatabase]]:
    """Makes fresh databases by server name; they are dropped when the test ends."""
    endings: list[Callable[[], Any]] = []

    def make(server: str) -> TestDatabase:
        if server == "sqlite":
            database = sqlite_database(tmp_path / f"des_{uuid4().hex[:12]}.sqlite")
        else:
            running = request.getfixturevalue(f"{server}_server")
            database = database_on(running)
            endings.append(lambda: running.drop_database(database.name))
        endings.append(database.close_connections)
        return database

    yield make
    for end in reversed(endings):
        end()


def _server_params() -> list[Any]:
    return [pytest.param(name, id=name, marks=getattr(pytest.mark, name)) for name in SERVERS]


@pytest.fixture(params=_server_params())
def database(
    request: pytest.FixtureRequest, make_database: Callable[[str], TestDatabase]
) -> TestDatabase:
    """A fresh source database on each of the four servers in turn."""
    return make_database(request.param)


@pytest.fixture
def config_database(
    request: pytest.FixtureRequest,
    database: TestDatabase,
    make_database: Callable[[str], TestDatabase],
) -> TestDatabase:
    """A second database for the config, on the same server kind unless parametrised otherwise."""
    return make_database(getattr(request, "param", database.server))


@pytest.fixture
def files_table(tmp_path: Path) -> FilesTableFactory:
    """Makes `files` in a database: `files_table(database, rows=…, **FilesSpec fields)`.

    `archived_days=N` is short for an `archived_until` at the end of the N-th day. `extra` adds
    rows as they are.
    """

    def make(
        database: TestDatabase,
        rows: int = 200,
        *,
        archived_days: int | None = None,
        extra: tuple[FileRow, ...] = (),
        **fields: Any,
    ) -> FilesTable:
        spec = FilesSpec(rows=rows, **fields)
        if archived_days is not None:
            spec = spec.with_archived_days(archived_days)
        return make_files_table(database, tmp_path / f"source_{database.name}", spec, extra)

    return make
