"""What tests of the migrations share: settings of a test database, and the formula."""

from datetime import timedelta
from typing import Any

from des_core.basics.timestamps import format_utc
from des_core.database.connections import open_database
from des_core.ledger.events import record_event
from des_core.ledger.watermark import move_watermark, read_watermark
from des_core.settings.config import (
    DatabaseSettings,
    MigrationSettings,
    PackerSettings,
    Settings,
    WatermarkSettings,
)
from support.rows.filesdata import canonical_rows
from support.rows.shape import TableShape
from support.servers.database import TestDatabase, to_microseconds


def settings_for(
    database: TestDatabase,
    config: TestDatabase | None = None,
    *,
    watermark: dict[str, Any] | None = None,
    migration: dict[str, Any] | None = None,
    **fields: Any,
) -> Settings:
    """Settings for `files` in `database`, the watermark in `config` or in the same one.

    `fields` are those of DatabaseSettings.
    """
    url = None if config is None else config.url
    return Settings(
        database=DatabaseSettings(url=database.url, **fields),
        packer=PackerSettings(output_dir="/nowhere", source_roots=["/"]),
        watermark=WatermarkSettings(config_db_url=url, **(watermark or {})),
        migration=MigrationSettings(**(migration or {})),
    )


def advance(settings: Settings, days: int) -> None:
    """Move the watermark as a cycle does."""
    config = open_database(settings.config_url)
    with config.write() as tx:
        expected = read_watermark(tx)
        to = expected.archived_until + timedelta(days=days)
        move_watermark(tx, expected=expected, to=to, actor="test", now=to)
        record_event(tx, action="cycle", actor="test", now=to, to_value=format_utc(to))
    config.close()


def watermark_us(config: TestDatabase) -> int:
    """The watermark, in microseconds since the epoch."""
    value = to_microseconds(config.value("SELECT archived_until FROM des_archive_config"))
    assert value is not None
    return value


def open_exceptions(config: TestDatabase) -> dict[tuple[str, int | None], bool]:
    """(uid, created_at in microseconds) of all open exceptions, with what is true of the file."""
    rows = config.rows(
        "SELECT uid, created_at, archived FROM des_archive_exception WHERE resolved_at IS NULL"
    )
    return {(uid, to_microseconds(at)): bool(archived) for uid, at, archived in rows}


def rows_by_formula(
    database: TestDatabase, config: TestDatabase, shape: TableShape | None = None
) -> list[tuple[Any, ...]]:
    """`canonical_rows` as they must be after a rollback from where the watermark is now."""
    until, exceptions = watermark_us(config), open_exceptions(config)
    return [
        (*row[:4], exceptions.get((row[0], row[1]), row[1] <= until))
        for row in canonical_rows(database, shape)
    ]


def index_names(database: TestDatabase, table: str = "files") -> set[str]:
    """The indexes of a table by name."""
    import sqlalchemy as sa

    with database.session() as session:
        return {str(index["name"]) for index in sa.inspect(session).get_indexes(table)}
