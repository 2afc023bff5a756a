"""Connections, schema, revisions, clocks and durability."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from des_core.basics.errors import DatabaseUnreachable
from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import format_utc
from des_core.basics.wording import numbered, one_or_many
from des_core.checks.check import Check, failed, ok, skipped, warning
from des_core.checks.patient import Patient
from des_core.database.catalog import Catalog
from des_core.database.connections import Database
from des_core.database.server_settings import require_primary
from des_core.ledger.retired import find_retirement
from des_core.ledger.revisions import (
    CREATED_AT_INDEX,
    DROP_ARCHIVED,
    LEDGER,
    WATERMARK,
    applied_revisions,
)
from des_core.migration.state.heads import all_heads
from des_core.migration.state.tables import (
    CHILD_HINT,
    find_bare_children,
    find_created_at_index,
    read_columns,
)
from des_core.rows.odd_times import count_odd_times
from des_core.rows.schema import CreatedAtKind

MAX_SKEW = timedelta(seconds=5)
LONG_TRANSACTION = timedelta(hours=1)
MIGRATE = "des-admin migrate plan"
LOST = "is database.table_name right? then make it again, as docs/migrations.md shows"
KINDS = {
    CreatedAtKind.AWARE: "with time zone",
    CreatedAtKind.NAIVE: "without time zone",
    CreatedAtKind.TEXT: "text",
}
# What each setting must be for a commit to survive a power cut.
DURABLE: Mapping[Dialect, Mapping[str, frozenset[str]]] = {
    Dialect.POSTGRES: {
        "fsync": frozenset({"on"}),
        "full_page_writes": frozenset({"on"}),
        "synchronous_commit": frozenset({"on", "remote_write", "remote_apply", "local"}),
    },
    Dialect.MYSQL: {"innodb_flush_log_at_trx_commit": frozenset({"1"})},
    Dialect.SQLITE: {"synchronous": frozenset({"2", "3"})},
}
READ_ONLY = frozenset({"on", "1"})
COUNTED = 1000
# SQLite reads the whole index, to find what is no time.
SCAN_LIMIT_S = 5.0


def check_source(patient: Patient) -> Check:
    """The database of files answers, and is no replica."""
    version = _version(patient.source)
    try:
        require_primary(patient.source)
    except DatabaseUnreachable as exc:
        return failed("source", exc.message, exc.hint or "name the primary in database.url")
    return ok("source", f"{patient.source.label}, {version}")


def check_config(patient: Patient) -> Check:
    """The database of the watermark answers."""
    if patient.config is patient.source:
        return ok("config", "the same database")
    return ok("config", f"{patient.config.label}, {_version(patient.config)}")


def check_table(patient: Patient) -> Check:
    """The table has the columns that the configuration names."""
    schema = patient.reader.schema
    kinds = f"uid {schema.uid_kind}, created_at {KINDS[schema.created_at_kind]}"
    extras = [
        "sizes" if schema.has_size else "no sizes",
        "archived column" if schema.has_archived else "no archived column",
    ]
    return ok("table", f"{patient.settings.database.table}: {kinds}, {', '.join(extras)}")


def check_index(patient: Patient) -> Check:
    """A working index leads with created_at."""
    index = find_created_at_index(patient.migration)
    if index is None:
        is_applied = CREATED_AT_INDEX.name in applied_revisions(all_heads(patient.migration))
        return failed(
            "index", "no valid index on created_at alone", LOST if is_applied else MIGRATE
        )
    bare = find_bare_children(patient.migration)
    if bare:
        column = patient.settings.database.created_at_column
        problem = f"child tables without an index on created_at: {', '.join(bare[:5])}"
        return failed("index", problem, CHILD_HINT.format(column=column))
    return ok("index", f"{index.name} on ({', '.join(str(c) for c in index.columns)})")


def check_times(patient: Patient) -> Check:
    """No row without created_at, which no window could see, and none with what is no time."""
    settings = patient.settings.database
    columns = read_columns(patient.source, settings.table.name, settings.table.schema)
    is_nullable = columns[settings.created_at_column]["nullable"]
    words = "no row without it" if is_nullable else "never NULL: the column forbids it"
    if find_created_at_index(patient.migration) is None:
        if is_nullable:
            return skipped("created_at", "NULL is allowed; counted once the index is there")
        return ok("created_at", words)
    if is_nullable and (problem := _find_nulls(patient)) is not None:
        return problem
    catalog = patient.reader.catalog
    odd = count_odd_times(patient.source, catalog, COUNTED, limit_s=SCAN_LIMIT_S)
    if odd.rows:
        holds = one_or_many(odd.rows, "row holds", "rows hold")
        text = (
            f"{odd.rows}{_or_more(odd.rows)} {holds} no time of the calendar's years 1 to 9999: "
            f"{odd.example!r}; no window will ever see it"
        )
        return failed("created_at", text, "des-admin sql show migration_odd_created_at")
    if not odd.is_whole:
        words += f"; whether each is a time was not known within {SCAN_LIMIT_S:.0f} s"
    return ok("created_at", words)


def _find_nulls(patient: Patient) -> Check | None:
    reader = patient.reader
    statement = reader.catalog.get("migration_null_created_at")
    with reader.database.read() as tx:
        files = int(tx.run(statement, {"limit": COUNTED}).scalar_one())
    if not files:
        return None
    return failed(
        "created_at",
        f"{files}{_or_more(files)} {one_or_many(files, 'row has', 'rows have')} no created_at: "
        "no window will ever see it",
        "des-admin sql show migration_null_created_at",
    )


def _or_more(rows: int) -> str:
    return " or more" if rows >= COUNTED else ""


def check_revisions(patient: Patient) -> Check:
    """The schema is at the revision that the runner needs."""
    applied = applied_revisions(all_heads(patient.migration))
    needed = {LEDGER.name, CREATED_AT_INDEX.name, WATERMARK.name}
    missing = sorted(needed - applied)
    if missing:
        words = f"not applied: {', '.join(missing)}"
        told = find_retirement(patient.config)
        if told is not None:
            return failed("revisions", f"{told.message}; {words}", told.hint or MIGRATE)
        return failed("revisions", words, MIGRATE)
    dropped = "archived dropped" if DROP_ARCHIVED.name in applied else "archived kept"
    return ok("revisions", f"all applied, {dropped}")


def check_clock(patient: Patient) -> Check:
    """This machine and the server agree about the time."""
    skew = patient.clock.now - patient.clock_read_at
    seconds = abs(skew.total_seconds())
    words = f"the server is {seconds:.1f} s {'ahead of' if skew > timedelta() else 'behind'} us"
    if abs(skew) > MAX_SKEW:
        return warning("clock", words, "timedatectl")
    return ok("clock", words if seconds >= 0.1 else "the server and this machine agree")


def check_transactions(patient: Patient) -> Check:
    """No old transaction holds the target back, and none is hidden from us."""
    clock = patient.clock
    if clock.hidden_sessions:
        return warning(
            "transactions",
            f"hidden from this user: {numbered(clock.hidden_sessions, 'session')}; an open "
            "transaction among them would not be seen",
            "grant pg_read_all_stats (PostgreSQL) or PROCESS (MySQL, MariaDB)",
        )
    oldest = clock.oldest_transaction
    if oldest is not None and clock.now - oldest > LONG_TRANSACTION:
        return warning(
            "transactions",
            f"one is open since {format_utc(oldest)}; the target does not pass it",
            "end it, or find out what it waits for",
        )
    return ok("transactions", "none is open for long")


def check_durability(patient: Patient) -> Check:
    """A commit of the ledger survives a power cut."""
    found = _settings(patient.config, "durability_settings")
    wanted = DURABLE[patient.config.dialect]
    weak = [f"{name} = {found[name]}" for name in wanted if found.get(name) not in wanted[name]]
    if weak:
        return warning(
            "durability",
            f"a power cut may lose commits: {', '.join(weak)}",
            "set them on the server of the watermark's database",
        )
    return ok("durability", ", ".join(f"{name} = {found[name]}" for name in wanted))


def check_writes(patient: Patient) -> Check:
    """The watermark's database is not a standby, nor made read-only."""
    found = _settings(patient.config, "read_only_settings")
    closed = [f"{name} = {setting}" for name, setting in found.items() if setting in READ_ONLY]
    if closed:
        return failed(
            "writes",
            f"the watermark's database takes no writes: {', '.join(closed)}",
            "name the primary in the URL, or make it writable",
        )
    return ok("writes", "the watermark's database takes them")


def _settings(database: Database, name: str) -> dict[str, str]:
    """What a statement says of the server's settings, in lower case."""
    statement = Catalog(database.dialect).get(name)
    with database.read() as tx:
        return {str(name): str(setting).lower() for name, setting in map(tuple, tx.run(statement))}


def _version(database: Database) -> str:
    with database.read() as tx:
        info = tx.connection.dialect.server_version_info or ()
        is_mariadb = bool(getattr(tx.connection.dialect, "is_mariadb", False))
    names = {Dialect.POSTGRES: "PostgreSQL", Dialect.MYSQL: "MySQL", Dialect.SQLITE: "SQLite"}
    name = "MariaDB" if is_mariadb else names[database.dialect]
    return f"{name} {'.'.join(str(part) for part in info[:3])}"
