"""Finding, naming and demanding the database servers of the tests."""

import os
from collections.abc import Mapping
from typing import NoReturn

import pytest

from support.servers.database import TestDatabase
from support.servers.mariadb import MariaDbServer, find_mariadb
from support.servers.postgres import PostgresServer, find_postgres

__all__ = [
    "MariaDbServer",
    "PostgresServer",
    "database_on",
    "describe_servers",
    "is_ci",
    "require_server",
]

_PACKAGES = {"PostgreSQL": "postgresql", "MariaDB": "mariadb-server"}


def is_ci(environ: Mapping[str, str] | None = None) -> bool:
    """In CI a missing server is a failure; on a laptop it is a skip that says what to install."""
    environ = os.environ if environ is None else environ
    return environ.get("CI", "").lower() in {"1", "true", "yes"}


def require_server(name: str) -> NoReturn:
    """Skip the test for want of a server, or fail it in CI."""
    reason = f"no {name} server found: install the package {_PACKAGES[name]}"
    if is_ci():
        pytest.fail(f"{reason} (CI skips nothing)", pytrace=False)
    pytest.skip(reason)


def describe_servers() -> str:
    """The header line of a test run."""
    postgres, mariadb = find_postgres(), find_mariadb()
    return "servers: " + ", ".join(
        [
            f"PostgreSQL {postgres.version}" if postgres else "no PostgreSQL",
            f"MariaDB {mariadb.version}" if mariadb else "no MariaDB",
        ]
    )


def database_on(server: PostgresServer | MariaDbServer) -> TestDatabase:
    """A fresh database on a running server; whoever asks for it drops it."""
    name = server.create_database()
    is_postgres = isinstance(server, PostgresServer)
    return TestDatabase(
        kind="postgres" if is_postgres else "mysql",
        server="postgres" if is_postgres else "mariadb",
        name=name,
        url=server.url(name),
        connector=lambda: server.connect(name),
    )
