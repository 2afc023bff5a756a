"""Database URLs: read, compared and named without a secret; nothing here connects."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from des_core.basics.errors import ConfigError
from des_core.basics.identifiers import Dialect

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}

_DIALECTS = {
    "postgresql": Dialect.POSTGRES,
    "mysql": Dialect.MYSQL,
    "mariadb": Dialect.MYSQL,
    "sqlite": Dialect.SQLITE,
}


def parse_url(text: str) -> URL:
    """A SQLAlchemy URL with our driver filled in; ConfigError where it is not one of ours."""
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError) as exc:
        raise ConfigError(
            "a database URL cannot be read",
            hint="write it like postgresql://user:${DB_PASSWORD}@host:5432/name, "
            "mysql://user:${DB_PASSWORD}@host:3306/name or sqlite:////path/file.db",
        ) from exc
    if backend == "postgres" or (backend in _DRIVERS and "+" not in url.drivername):
        url = url.set(drivername=_DRIVERS[backend])
    if backend not in (*_DRIVERS, "sqlite"):
        raise ConfigError(
            f"databases of the kind {backend!r} are not supported",
            hint="supported: postgresql, mysql, mariadb, sqlite",
        )
    if url.drivername not in {"postgresql+psycopg", "mysql+pymysql", "sqlite", "sqlite+pysqlite"}:
        raise ConfigError(
            f"the driver {url.drivername!r} is not supported",
            hint="supported: postgresql+psycopg, mysql+pymysql, sqlite",
        )
    if backend == "sqlite" and url.query:
        raise ConfigError(
            "the URL of an SQLite database takes no options",
            hint="write sqlite:////absolute/path/file.db",
            options=", ".join(sorted(url.query)),
        )
    if backend != "sqlite" and not url.database:
        raise ConfigError("a database URL names no database", url=url_label(url))
    return url


def dialect_of(url: str | URL) -> Dialect:
    """The dialect that a URL speaks, without connecting."""
    parsed = parse_url(url) if isinstance(url, str) else url
    return _DIALECTS[parsed.get_backend_name()]


def sqlite_file(url_text: str) -> str | None:
    """The file of an SQLite database; None where it is another database, or in memory."""
    try:
        url = parse_url(url_text)
    except ConfigError:
        return None
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return url.database


def database_name(url_text: str) -> str:
    """The database of a URL as a person calls it: its name, or that of its file."""
    name = parse_url(url_text).database or ""
    return Path(name).name if dialect_of(url_text) is Dialect.SQLITE else name


def is_same_place(one: str, other: str) -> bool:
    """Whether two URLs mean one database; two spellings of one SQLite file do."""
    first, second = parse_url(one), parse_url(other)
    if first.get_backend_name() == "sqlite" == second.get_backend_name():
        return Path(first.database or "").resolve() == Path(second.database or "").resolve()
    return first == second


def url_label(url: URL) -> str:
    """The URL without its password and without its options, for messages."""
    return url.set(password=None, query={}).render_as_string(hide_password=True)
