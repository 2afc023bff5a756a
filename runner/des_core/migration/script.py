"""The migrations as scripts for psql, mariadb or sqlite3: the same steps, with the same result.

Where everything is in one database the script knows no state: the seed is an INSERT … SELECT.
Where the watermark lives in another database than `files`, there is one script for each, and
what crosses over (seed, exceptions, watermark) is read now and written out as literals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from des_core.basics.errors import Refused, UsageError
from des_core.basics.identifiers import Dialect
from des_core.database.catalog import CREATED_ARCHIVED_INDEX, Catalog, Statement, config_statement
from des_core.database.catalog import CREATED_AT_INDEX as CREATED_AT_INDEX_NAME
from des_core.database.script import CLIENTS, parameters_of, script_for_client
from des_core.database.stored_time import to_stored
from des_core.ledger.archive_table import seed_details
from des_core.ledger.exceptions import exception_values, iterate_open
from des_core.ledger.jobs import JOB_TABLE
from des_core.ledger.revisions import (
    CREATED_AT_INDEX,
    DROP_ARCHIVED,
    LEDGER,
    WATERMARK,
    Branch,
    Revision,
)
from des_core.ledger.watermark import read_watermark
from des_core.migration.live_state import CONFIG_TABLE, has_table
from des_core.migration.partitions import drop_steps, index_steps, is_partitioned
from des_core.migration.patience import INDEX_LOCK_TIMEOUT_S
from des_core.migration.run import MigrationRun
from des_core.migration.seed import iterate_holes, plan_seed
from des_core.migration.seed_plan import SeedPlan
from des_core.migration.steps import Step, get_step, load_steps
from des_core.migration.watermark import next_fence

_BEGIN = {Dialect.POSTGRES: "BEGIN;", Dialect.MYSQL: "START TRANSACTION;"}
_BEGIN[Dialect.SQLITE] = "BEGIN IMMEDIATE;"
_USAGE = {
    Dialect.POSTGRES: "psql -X -v ON_ERROR_STOP=1 -f FILE",
    Dialect.MYSQL: "mariadb DATABASE < FILE",
    Dialect.SQLITE: "sqlite3 -bail DATABASE < FILE",
}


@dataclass(frozen=True, slots=True)
class MigrationScript:
    """One script for one database. `place` is `source`, `config` or both."""

    place: str
    database: str
    client: str
    text: str


@dataclass(frozen=True, slots=True)
class _Writer:
    """Renders for one database."""

    catalog: Catalog
    values: Mapping[str, str]
    apart: bool
    lock_timeout_s: float

    @property
    def dialect(self) -> Dialect:
        return self.catalog.dialect

    def file(self, name: str, *, leave_out: Iterable[str] = ()) -> Iterator[str]:
        """The steps of a migration file, those of one group in one transaction."""
        steps = [
            step
            for step in load_steps(self.catalog, name)
            if step.is_for_script(apart=self.apart) and step.name not in leave_out
        ]
        for group, members in groupby(steps, key=lambda step: step.group):
            texts = [self._patient(step) for step in members]
            yield from (_BEGIN[self.dialect], *texts, "COMMIT;") if group else texts

    def step(self, file_name: str, name: str) -> str:
        return self._patient(get_step(self.catalog, file_name, name))

    def steps(self, steps: Iterable[Step]) -> Iterator[str]:
        """Steps that were chosen by what is there."""
        return map(self._patient, steps)

    def _patient(self, step: Step) -> str:
        """On PostgreSQL a concurrent build waits for old snapshots, while nobody waits for it."""
        text = self.statement(step.statement, _note(step))
        if step.in_transaction or self.dialect is not Dialect.POSTGRES:
            return text
        return (
            f"{_lock_timeout(INDEX_LOCK_TIMEOUT_S)}\n{text}\n{_lock_timeout(self.lock_timeout_s)}"
        )

    def statement(self, statement: Statement, note: str = "") -> str:
        return self.bound(statement, {}, note)

    def bound(self, statement: Statement, values: Mapping[str, object], note: str = "") -> str:
        """The statement with literals for its parameters."""
        known = {**self.values, **{name: _literal(value) for name, value in values.items()}}
        used = {name: known[name] for name in parameters_of(statement) if name in known}
        script = script_for_client(statement, self.dialect, used)
        return script.text + (f"\n{note}" if note else "")

    def version(self, revision: Revision, *, up: bool) -> str:
        """The row of des_admin_version after the revision."""
        if revision.down is None:
            name = "version_begin" if up else "version_end"
            return self.bound(config_statement(self.dialect, name), {"revision": revision.name})
        there, back = revision.name, revision.down
        values = {"revision": there if up else back, "previous": back if up else there}
        return self.bound(config_statement(self.dialect, "version_move"), values)


def render_scripts(migration: MigrationRun, direction: str) -> list[MigrationScript]:
    """The scripts for `up` or `down`, in the order in which they are to be run."""
    parts = _up(migration) if direction == "up" else _down(migration)
    if migration.shares_database:
        lines = [text for _branch, text in parts]
        return [_script(migration, "source and config", Branch.SOURCE, direction, lines)]
    listed = list(parts)
    order = (Branch.CONFIG, Branch.SOURCE) if direction == "up" else (Branch.SOURCE, Branch.CONFIG)
    return [
        _script(migration, branch, branch, direction, [t for place, t in listed if place is branch])
        for branch in order
    ]


def _up(migration: MigrationRun) -> Iterator[tuple[Branch, str]]:
    config, source = _writer(migration, Branch.CONFIG), _writer(migration, Branch.SOURCE)
    yield Branch.CONFIG, config.statement(config_statement(config.dialect, "version_table"))
    if not migration.shares_database:
        yield Branch.SOURCE, source.statement(config_statement(source.dialect, "version_table"))
    for text in (*config.file(f"{LEDGER.name}.up"), config.version(LEDGER, up=True)):
        yield Branch.CONFIG, text
    for text in _index_up(migration, source):
        yield Branch.SOURCE, text
    yield Branch.SOURCE, source.version(CREATED_AT_INDEX, up=True)
    for text in _watermark_up(migration, config, source):
        yield Branch.CONFIG, text
    yield Branch.CONFIG, config.version(WATERMARK, up=True)
    if migration.options.drop_archived:
        # Of a partitioned table the index goes with the column: see index_goes_first.
        left = ("drop_created_archived_index",) if is_partitioned(migration) else ()
        for text in source.file(f"{DROP_ARCHIVED.name}.up", leave_out=left):
            yield Branch.SOURCE, text
        yield Branch.SOURCE, source.version(DROP_ARCHIVED, up=True)


def _down(migration: MigrationRun) -> Iterator[tuple[Branch, str]]:
    config, source = _writer(migration, Branch.CONFIG), _writer(migration, Branch.SOURCE)
    dropped = migration.options.drop_archived
    if dropped:
        for text in source.file(f"{DROP_ARCHIVED.name}.down"):
            yield Branch.SOURCE, text
        yield Branch.SOURCE, source.version(DROP_ARCHIVED, up=False)
    if not dropped or source.dialect is Dialect.SQLITE:
        name = "write_flags" if migration.shares_database else "write_flags_at"
        yield Branch.SOURCE, source.step(f"{WATERMARK.name}.down", name)
    if not migration.shares_database:
        for text in _exceptions_down(migration, source):
            yield Branch.SOURCE, text
    if dropped:
        for text in _index_back(migration, source):
            yield Branch.SOURCE, text
    leave_out = ("write_flags", "write_flags_at")
    for text in config.file(f"{WATERMARK.name}.down", leave_out=leave_out):
        yield Branch.CONFIG, text
    yield Branch.CONFIG, config.version(WATERMARK, up=False)
    for text in _index_away(migration, source):
        yield Branch.SOURCE, text
    yield Branch.SOURCE, source.version(CREATED_AT_INDEX, up=False)
    if migration.options.purge:
        for text in (*config.file(f"{LEDGER.name}.down"), config.version(LEDGER, up=False)):
            yield Branch.CONFIG, text


def _index_up(migration: MigrationRun, source: _Writer) -> Iterator[str]:
    if is_partitioned(migration):
        return source.steps(index_steps(migration, CREATED_AT_INDEX_NAME))
    return source.file(f"{CREATED_AT_INDEX.name}.up")


def _index_back(migration: MigrationRun, source: _Writer) -> Iterator[str]:
    if is_partitioned(migration):
        return source.steps(index_steps(migration, CREATED_ARCHIVED_INDEX))
    return iter([source.step(f"{CREATED_AT_INDEX.name}.down", "create_created_archived_index")])


def _index_away(migration: MigrationRun, source: _Writer) -> Iterator[str]:
    if is_partitioned(migration):
        return source.steps(drop_steps(migration, CREATED_AT_INDEX_NAME))
    return iter([source.step(f"{CREATED_AT_INDEX.name}.down", "drop_created_at_index")])


def _watermark_up(migration: MigrationRun, config: _Writer, source: _Writer) -> Iterator[str]:
    if migration.shares_database:
        if migration.settings.database.archived_column is None:
            raise UsageError(
                "without database.archived_column a script cannot choose the seed",
                hint="run it instead: des-admin migrate up",
            )
        _require_clock(migration)
        yield from config.file(f"{WATERMARK.name}.up")
        return
    plan = plan_seed(migration)
    yield config.step(f"{WATERMARK.name}.up", "create_config")
    yield _BEGIN[config.dialect]
    yield from _seed_literals(migration, config, plan)
    yield config.step(f"{WATERMARK.name}.up", "remember_seed")
    yield "COMMIT;"


def _seed_literals(migration: MigrationRun, config: _Writer, plan: SeedPlan) -> Iterator[str]:
    now = migration.now()
    record = config_statement(config.dialect, "exception_record")
    with migration.config.read() as tx:
        for page in iterate_holes(migration, plan.archived_until, tx):
            for values in exception_values(page, config.dialect, now):
                yield config.bound(record, values)
    values = {
        "archived_until": to_stored(plan.archived_until, config.dialect),
        "lag_days": plan.lag_days,
        "now": to_stored(now, config.dialect),
        "actor": migration.actor,
        "fence": next_fence(migration) if has_table(migration.config, JOB_TABLE) else 0,
    }
    yield config.bound(config_statement(config.dialect, "migration_seed_watermark"), values)


def _exceptions_down(migration: MigrationRun, source: _Writer) -> Iterator[str]:
    statement = migration.source_catalog.get("migration_flag_one")
    for page in iterate_open(migration.config):
        for item in page:
            start = item.created_at - timedelta(microseconds=1)
            values = migration.schema.window(start, item.created_at)
            values |= {"uid": migration.schema.uid_to_db(item.uid), "archived": item.archived}
            yield source.bound(statement, values)


def _writer(migration: MigrationRun, branch: Branch) -> _Writer:
    database = migration.database(branch)
    settings = migration.settings
    apart = not migration.shares_database
    values: dict[str, object] = {
        "seed_at": _stored(migration.options.seed_at, database.dialect),
        "default_at": _stored(settings.watermark.default_archived_until, database.dialect),
        "lag_days": settings.database.lag_days,
        "actor": migration.actor,
        "details": seed_details(settings.database.table),
    }
    if apart and branch is Branch.SOURCE:
        values |= _watermark_of(migration)
    literals = {name: _literal(value) for name, value in values.items()}
    catalog = Catalog(database.dialect, settings.database)
    return _Writer(catalog, literals, apart, settings.migration.lock_timeout)


def _watermark_of(migration: MigrationRun) -> dict[str, object]:
    if not has_table(migration.config, CONFIG_TABLE):
        return {}
    with migration.config.read() as tx:
        watermark = read_watermark(tx)
    return {"watermark": migration.schema.to_db(watermark.archived_until)}


def _script(
    migration: MigrationRun, place: str, branch: Branch, direction: str, lines: Iterable[str]
) -> MigrationScript:
    database = migration.database(branch)
    head = [
        f"-- des-admin migrate {direction}, for the {place} database {database.label}",
        f"-- Run it with: {_USAGE[database.dialect]}",
        *_preamble(migration, database.dialect),
    ]
    text = "\n\n".join([*head[:1], *head[1:], *lines]) + "\n"
    return MigrationScript(place, database.label, CLIENTS[database.dialect], text)


def _preamble(migration: MigrationRun, dialect: Dialect) -> list[str]:
    """What the program sets on its own connections."""
    lock_s = migration.settings.migration.lock_timeout
    if dialect is Dialect.POSTGRES:
        zone = migration.settings.database.timezone.replace("'", "''")
        return [
            "\\set ON_ERROR_STOP on",
            "SET client_encoding = 'UTF8';",
            f"SET TIME ZONE '{zone}';",
            _lock_timeout(lock_s),
        ]
    if dialect is Dialect.MYSQL:
        return [
            "SET NAMES utf8mb4;",
            "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES';",
            f"SET SESSION lock_wait_timeout = {max(1, round(lock_s))};",
        ]
    return [".bail on", ".timeout 30000", "PRAGMA foreign_keys = ON;"]


def _lock_timeout(seconds: float) -> str:
    return f"SET lock_timeout = '{round(seconds * 1000)}ms';"


def _require_clock(migration: MigrationRun) -> None:
    is_utc = migration.settings.database.timezone.upper() == "UTC"
    if not is_utc and migration.source.dialect is not Dialect.POSTGRES:
        raise Refused(
            "a script for this database cannot turn local times into UTC",
            hint="run it instead: des-admin migrate up",
            timezone=migration.settings.database.timezone,
        )


def _note(step: Step) -> str:
    return f"-- locks: {step.lock}; costs: {step.cost}" if step.lock else ""


def _stored(moment: datetime | None, dialect: Dialect) -> object:
    return None if moment is None else to_stored(moment, dialect)


def _literal(value: object) -> str:
    """For `script_for_client`: text in quotes, so that digits stay text."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return f"'{value.isoformat(sep=' ')}'"
    text: Any = str(value)
    return f"'{text}'"
