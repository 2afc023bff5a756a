"""Least-privilege grants for those who work on an archive, as a script for a DBA."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from des_core.basics.database_urls import dialect_of, parse_url
from des_core.basics.errors import UsageError
from des_core.basics.identifiers import Dialect, quote
from des_core.database.catalog import Catalog
from des_core.database.roles import Place, Role
from des_core.settings.config import DatabaseSettings, Settings

_ON_A_TABLE = re.compile(r"GRANT (?P<privileges>[A-Z, ]+) ON (?P<table>\w+) TO ")


@dataclass(frozen=True)
class GrantScript:
    """What gives one role its rights in one place; run by whoever may grant."""

    role: Role
    place: Place
    dialect: Dialect
    purpose: str
    text: str


class _GrantCatalog(Catalog):
    """The statements of `sql/<dialect>/grants/`, for one account."""

    def __init__(
        self, dialect: Dialect, settings: DatabaseSettings | None, holes: dict[str, str]
    ) -> None:
        super().__init__(dialect, settings)
        self._holes = holes

    @cached_property
    def names(self) -> Mapping[str, str]:
        settings = self._settings
        return self._holes if settings is None else {**super()._filled(settings), **self._holes}


def make_grants(
    settings: Settings, role: Role, account: str, *, owner: str | None = None
) -> list[GrantScript]:
    """The scripts for the source and the config database. UsageError on SQLite.

    `account` is the user's name, on MySQL `name` or `name@host`. `owner` is the role that owns
    `files`: PostgreSQL wants it for the admin.
    """
    urls = {Place.SOURCE: settings.source_url, Place.CONFIG: settings.config_url}
    return [_script(settings, role, place, url, account, owner) for place, url in urls.items()]


def read_table_needs(dialect: Dialect, role: Role, place: Place) -> dict[str, list[str]]:
    """What the role's script grants on our tables: table to privileges, as the script has them."""
    script = _GrantCatalog(dialect, None, {"account": ""}).load("grants", f"{role}_{place}.sql")
    return {
        found["table"]: found["privileges"].split(", ")
        for found in _ON_A_TABLE.finditer(script.sql)
    }


def _script(
    settings: Settings, role: Role, place: Place, url: str, account: str, owner: str | None
) -> GrantScript:
    dialect = dialect_of(url)
    if dialect is Dialect.SQLITE:
        raise UsageError(
            f"the {place} database is SQLite, which has no users",
            hint="give its file to the user that runs this program: chown, chmod 0640",
        )
    if dialect is Dialect.POSTGRES and role is Role.ADMIN and owner is None:
        raise UsageError(
            "only the owner of a table may change it: say who that is",
            hint="--owner ROLE; psql shows it: \\d files",
            table=str(settings.database.table),
        )
    schema = settings.database.table.schema or _default_schema(settings.source_url)
    holes = {
        "account": _account(account, dialect),
        "files_schema": quote(schema, dialect),
        "files_owner": "" if owner is None else quote(owner, dialect),
        "counted_columns": _counted_columns(settings.database, dialect),
        "config_schema": quote(_default_schema(settings.config_url), dialect),
    }
    catalog = _GrantCatalog(dialect, settings.database, holes)
    statement = catalog.load("grants", f"{role}_{place}.sql")
    return GrantScript(role, place, dialect, statement.purpose, f"{statement.sql};")


def _counted_columns(settings: DatabaseSettings, dialect: Dialect) -> str:
    """What counts and sums read of `files`: no locations."""
    names = (settings.uid_column, settings.created_at_column, settings.size_column)
    return ", ".join(quote(name, dialect) for name in dict.fromkeys(names) if name is not None)


def _default_schema(url: str) -> str:
    """Where unqualified names are: on MySQL a schema is a database."""
    parsed = parse_url(url)
    is_postgres = dialect_of(url) is Dialect.POSTGRES
    return "public" if is_postgres else str(parsed.database)


def _account(name: str, dialect: Dialect) -> str:
    if dialect is Dialect.POSTGRES:
        return quote(name, dialect)
    user, at, host = name.rpartition("@")
    user, host = (user, host) if at else (name, "%")
    return f"{_text(user)}@{_text(host)}"


def _text(value: str) -> str:
    if not value or "\0" in value:
        raise UsageError("an account is written NAME or NAME@HOST")
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
