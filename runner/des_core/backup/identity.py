"""Which server and database we speak to, in a form that can be compared months later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from des_core.backup.manifest import DatabaseLocale, ServerIdentity
from des_core.backup.programs import read_version
from des_core.backup.statements import BackupCatalog
from des_core.basics.database_urls import dialect_of, parse_url, url_label
from des_core.basics.errors import DesError
from des_core.basics.identifiers import Dialect, quote
from des_core.database.connections import Database, open_database
from des_core.database.transaction import Transaction

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

LOCAL_HOSTS = (None, "", "localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class LiveServer:
    """The identity, and what only helps: an estimate of the size, where the data lies here."""

    identity: ServerIdentity
    version: tuple[int, ...]
    size_bytes: int | None
    data_directory: Path | None
    encoding: str = "UTF8"


@dataclass(frozen=True)
class Target:
    """A database by its URL, which is a secret, and open."""

    url_text: str
    database: Database

    @property
    def url(self) -> URL:
        return parse_url(self.url_text)

    @property
    def dialect(self) -> Dialect:
        return self.database.dialect

    @property
    def name(self) -> str:
        """The database's name; for SQLite the file's."""
        name = self.url.database or ""
        return Path(name).name if self.dialect is Dialect.SQLITE else name

    @property
    def sqlite_path(self) -> Path:
        return Path(self.url.database or "").resolve()

    def scratch(self, name: str, default_schema: str | None = None) -> Target:
        """Another database of the same server; close it."""
        url = self.url.set(database=name)
        if self.dialect is Dialect.POSTGRES and default_schema is not None:
            path = quote(default_schema, self.dialect).replace("\\", "\\\\").replace(" ", "\\ ")
            url = url.update_query_dict({"options": f"-csearch_path={path}"})
        return open_target(url.render_as_string(hide_password=False))


def open_target(url_text: str) -> Target:
    """Open the database of a URL."""
    return Target(url_text, open_database(url_text))


def name_of_url(url_text: str) -> tuple[str, str]:
    """Dialect and database as a manifest names them, without a connection."""
    url = parse_url(url_text)
    dialect = dialect_of(url_text)
    name = url.database or ""
    return dialect.value, str(Path(name).resolve()) if dialect is Dialect.SQLITE else name


def read_server(target: Target) -> LiveServer:
    """Ask the server who it is."""
    readers = {
        Dialect.POSTGRES: _read_postgres,
        Dialect.MYSQL: _read_mysql,
        Dialect.SQLITE: _read_sqlite,
    }
    return readers[target.dialect](target)


def read_locale(target: Target) -> DatabaseLocale | None:
    """How the database was made; None where that is no question."""
    if target.dialect is Dialect.SQLITE:
        return None
    with target.database.read() as tx:
        row = tx.run(BackupCatalog(target.dialect).backup("locale")).one()
    if target.dialect is Dialect.MYSQL:
        return DatabaseLocale(str(row.encoding), str(row.collation_name))
    return DatabaseLocale(
        *(str(row.encoding), row.collation_name, row.ctype, row.provider, row.provider_locale)
    )


def _read_postgres(target: Target) -> LiveServer:
    catalog = BackupCatalog(Dialect.POSTGRES)
    with target.database.read() as tx:
        row = tx.run(catalog.backup("server")).one()
        host = _postgres_host(tx)
    identity = ServerIdentity(
        dialect=Dialect.POSTGRES,
        product="PostgreSQL",
        version=str(row.version),
        server_id=str(row.server_id),
        database=str(row.database_name),
        label=url_label(target.url),
    )
    directory = _postgres_directory(target) if host in LOCAL_HOSTS else None
    return LiveServer(
        identity, read_version(identity.version), int(row.size_bytes), directory, str(row.encoding)
    )


def _postgres_host(tx: Transaction) -> str | None:
    raw = tx.connection.connection.driver_connection
    host = str(raw.info.host) if raw is not None else None
    return None if host is not None and host.startswith("/") else host


def _postgres_directory(target: Target) -> Path | None:
    try:
        with target.database.read() as tx:
            statement = BackupCatalog(Dialect.POSTGRES).backup("data_directory")
            return Path(str(tx.run(statement).scalar_one()))
    except DesError:
        return None  # only members of pg_read_all_settings may know


def _read_mysql(target: Target) -> LiveServer:
    catalog = BackupCatalog(Dialect.MYSQL)
    with target.database.read() as tx:
        rows = [tuple(row) for row in tx.run(catalog.backup("server"))]
        size = tx.run(catalog.backup("size")).one()
    values = {str(name).lower(): str(value) for name, value in rows}
    is_mariadb = "mariadb" in (values["version"] + values.get("version_comment", "")).lower()
    unique = values.get("server_uuid") or values.get("server_uid")
    identity = ServerIdentity(
        dialect=Dialect.MYSQL,
        product="MariaDB" if is_mariadb else "MySQL",
        version=values["version"],
        server_id=unique or f"{values['hostname']}:{values['port']}{values['datadir']}",
        database=str(size.database_name),
        label=url_label(target.url),
    )
    is_local = target.url.host in LOCAL_HOSTS
    return LiveServer(
        identity,
        read_version(identity.version),
        None if size.size_bytes is None else int(size.size_bytes),
        Path(values["datadir"]) if is_local else None,
    )


def _read_sqlite(target: Target) -> LiveServer:
    path = target.sqlite_path
    with target.database.read() as tx:
        version = str(tx.run(BackupCatalog(Dialect.SQLITE).backup("server")).scalar_one())
    identity = ServerIdentity(
        dialect=Dialect.SQLITE,
        product="SQLite",
        version=version,
        server_id="file",
        database=str(path),
        label=url_label(target.url),
    )
    return LiveServer(identity, read_version(version), path.stat().st_size, path.parent)
