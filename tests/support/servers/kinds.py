"""Finding, naming and demanding the database servers of the tests."""

import os
from collections.abc import Mapping
from typing import NoReturn

import pytest

from support.servers.database import TestDatabase
from support.servers.mysql import (
    MySqlBinaries,
    MySqlServer,
    Product,
    find_mariadb,
    find_mysql,
)
from support.servers.postgres import PostgresServer, find_postgres

__all__ = [
    "MIXED_SERVERS",
    "MySqlServer",
    "PostgresServer",
    "database_on",
    "describe_servers",
    "is_ci",
    "require_mysql",
    "require_server",
]

# Each kind once for the rows and once for the watermark, in two databases of different kinds.
MIXED_SERVERS = (
    ("sqlite", "postgres"),
    ("postgres", "mariadb"),
    ("mariadb", "mysql"),
    ("mysql", "sqlite"),
)
_REMEDIES = {
    "PostgreSQL": "install the package postgresql",
    "MariaDB": "install the package mariadb-server",
    "MySQL": "run scripts/install-test-tools servers",
    "Galera": "install the packages galera-4 and rsync",
    "PgBouncer": "run scripts/install-test-tools servers",
}


def is_ci(environ: Mapping[str, str] | None = None) -> bool:
    """In CI a missing server is a failure; on a laptop it is a skip that says what to install."""
    environ = os.environ if environ is None else environ
    return environ.get("CI", "").lower() in {"1", "true", "yes"}


def require_server(name: str) -> NoReturn:
    """Skip the test for want of a server, or fail it in CI."""
    reason = f"no {name} server found: {_REMEDIES[name]}"
    if is_ci():
        pytest.fail(f"{reason} (CI skips nothing)", pytrace=False)
    pytest.skip(reason)


def require_mysql(product: Product) -> MySqlBinaries:
    """The programs of a server of the MySQL family; skips or fails the test without them."""
    if product == "mariadb":
        return find_mariadb() or require_server("MariaDB")
    return find_mysql() or require_server("MySQL")


def describe_servers() -> str:
    """The header line of a test run."""
    postgres, mariadb, mysql = find_postgres(), find_mariadb(), find_mysql()
    return "servers: " + ", ".join(
        [
            f"PostgreSQL {postgres.version}" if postgres else "no PostgreSQL",
            mariadb.name if mariadb else "no MariaDB",
            mysql.name if mysql else "no MySQL",
        ]
    )


def database_on(server: PostgresServer | MySqlServer) -> TestDatabase:
    """A fresh database on a running server; whoever asks for it drops it."""
    name = server.create_database()
    is_postgres = isinstance(server, PostgresServer)
    return TestDatabase(
        kind="postgres" if is_postgres else "mysql",
        server="postgres" if isinstance(server, PostgresServer) else server.product,
        name=name,
        url=server.url(name),
        connector=lambda: server.connect(name),
    )
