"""What the tables hold, counted in one transaction: at the dump, and again after a restore."""

from __future__ import annotations

from dataclasses import dataclass, replace

import sqlalchemy as sa

from des_core.backup.manifest import SourceNames, TableNumbers, WatermarkNumbers
from des_core.backup.statements import BackupCatalog
from des_core.basics.identifiers import TableName
from des_core.database.connections import Database
from des_core.database.transaction import Transaction
from des_core.ledger.watermark import read_watermark
from des_core.rows.schema import SourceSchema, inspect_source, source_catalog
from des_core.settings.config import DatabaseSettings

OUR_TABLES = (
    "des_admin_version",
    "des_archive_config",
    "des_archive_slice",
    "des_archive_shard",
    "des_archive_exception",
    "des_archive_event",
    "des_archive_worker",
    "des_archive_job",
    "des_archive_outcome",
    "des_archive_damage",
)
VERSION_TABLE = "des_admin_version"
WATERMARK_TABLE = "des_archive_config"


@dataclass(frozen=True)
class CountedTables:
    """What must be counted in this database: `files` where it is there, and our tables.

    Looked up before the snapshot, so that inside it nothing but the counting happens.
    """

    settings: DatabaseSettings
    schema: SourceSchema | None
    ours: tuple[str, ...]
    has_watermark: bool = False
    default_schema: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """As the manifest names them; all are required in a complete backup."""
        files = (str(self.settings.table),) if self.schema else ()
        return (*files, *self.ours)

    @property
    def tables(self) -> tuple[TableName, ...]:
        files = (self.settings.table,) if self.schema else ()
        return (*files, *map(TableName, self.ours))

    def only(self, names: frozenset[str]) -> CountedTables:
        """Those of the given names."""
        kept = self.schema if str(self.settings.table) in names else None
        ours = tuple(name for name in self.ours if name in names)
        return replace(self, schema=kept, ours=ours)


@dataclass(frozen=True, slots=True)
class Numbers:
    """One transaction's view."""

    tables: tuple[TableNumbers, ...]
    watermark: WatermarkNumbers | None
    revision: tuple[str, ...]


def find_counted_tables(
    database: Database, settings: DatabaseSettings, *, with_files: bool
) -> CountedTables:
    """Look up what is there. WrongSchema where `files` is wanted and missing."""
    with database.translated(), database.engine.connect() as connection:
        inspector = sa.inspect(connection)
        there = set(inspector.get_table_names())
        default_schema = inspector.default_schema_name
        # A table made by hand from the guide has no fence, and is no watermark of ours yet.
        has_watermark = WATERMARK_TABLE in there and any(
            column["name"] == "fence" for column in inspector.get_columns(WATERMARK_TABLE)
        )
    schema = inspect_source(database, settings) if with_files else None
    ours = tuple(name for name in OUR_TABLES if name in there)
    return CountedTables(settings, schema, ours, has_watermark, default_schema)


def read_numbers(tx: Transaction, counted: CountedTables, database: Database) -> Numbers:
    """Count everything in the transaction of `connection`. Reads each table once, whole."""
    tables = [_count(tx, TableName(name)) for name in counted.ours]
    rows = {numbers.table: numbers.rows for numbers in tables}
    if counted.schema is not None:
        tables.insert(0, _count_files(tx, counted.settings, counted.schema))
    has_watermark = counted.has_watermark and rows.get(WATERMARK_TABLE, 0) > 0
    return Numbers(
        tables=tuple(tables),
        watermark=_read_watermark(tx) if has_watermark else None,
        revision=read_revision(tx) if VERSION_TABLE in counted.ours else (),
    )


def read_revision(tx: Transaction) -> tuple[str, ...]:
    """The heads in des_admin_version, sorted; the table must be there."""
    statement = BackupCatalog(tx.dialect).backup("revision")
    return tuple(sorted(str(row.version_num) for row in tx.run(statement)))


def settings_of(names: SourceNames) -> DatabaseSettings:
    """Settings that name the same table and columns as the manifest; the URL means nothing."""
    return DatabaseSettings.model_validate(
        {
            "url": "sqlite:////dev/null",
            "table_name": f'"{names.table_name}"' if "." in names.table_name else names.table_name,
            "schema": names.schema_name,
            "uid_column": names.uid_column,
            "created_at_column": names.created_at_column,
            "location_column": names.location_column,
            "size_column": names.size_column,
            "timezone": names.timezone,
        }
    )


def names_of(counted: CountedTables) -> SourceNames:
    """What the manifest keeps of the settings; no size column where the table has none."""
    settings = counted.settings
    has_size = counted.schema is None or counted.schema.has_size
    return SourceNames(
        table_name=settings.table.name,
        schema_name=settings.table.schema,
        default_schema=counted.default_schema,
        uid_column=settings.uid_column,
        created_at_column=settings.created_at_column,
        location_column=settings.location_column,
        size_column=settings.size_column if has_size else None,
        timezone=settings.timezone,
    )


def _count_files(tx: Transaction, settings: DatabaseSettings, schema: SourceSchema) -> TableNumbers:
    statement = source_catalog(schema, settings).get("backup_numbers")
    row = tx.run(statement).one()
    return TableNumbers(
        table=str(settings.table),
        rows=int(row.files),
        oldest=None if row.oldest is None else schema.from_db(row.oldest),
        newest=None if row.newest is None else schema.from_db(row.newest),
        size_bytes=None if row.size_bytes is None else int(row.size_bytes),
    )


def _count(tx: Transaction, table: TableName) -> TableNumbers:
    statement = BackupCatalog(tx.dialect, table=table).backup("count")
    return TableNumbers(table=str(table), rows=int(tx.run(statement).scalar_one()))


def _read_watermark(tx: Transaction) -> WatermarkNumbers:
    watermark = read_watermark(tx)
    return WatermarkNumbers(watermark.archived_until, watermark.lag_days, watermark.fence)
