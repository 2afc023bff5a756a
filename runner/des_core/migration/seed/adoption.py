"""A des_archive_config that somebody made by hand from the guide: kept, completed, believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from des_core.basics.errors import WrongSchema
from des_core.basics.identifiers import Dialect, TableName
from des_core.database.catalog import Catalog, config_statement
from des_core.database.stored_time import from_stored, to_stored
from des_core.database.transaction import Transaction
from des_core.ledger.jobs import SEED_JOB, read_job
from des_core.ledger.revisions import WATERMARK, Branch
from des_core.ledger.watermark import whole_days
from des_core.migration.base.migration import Migration
from des_core.migration.state.tables import CONFIG_TABLE, has_table, read_columns
from des_core.migration.steps.sql_file import Step, get_step
from des_core.migration.steps.statements import run_steps
from des_core.rows.schema import read_clocks

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import ReflectedColumn

UP = f"{WATERMARK.name}.up"
ADDED = ("last_updated", "updated_by", "fence")
ACTOR = 100
ADOPTION_HINT = (
    "correct it; or write its watermark down, drop the table, and begin with: des-admin migrate up "
    "--seed-at TIME"
)
_NUMBER = (sa.Integer, sa.Numeric)
_COLUMNS: Mapping[str, tuple[type, ...]] = {
    "id": _NUMBER,
    "archived_until": (sa.DateTime,),
    "lag_days": _NUMBER,
    "last_updated": (sa.DateTime,),
    "updated_by": (sa.String,),
    "fence": _NUMBER,
}


@dataclass(frozen=True, slots=True)
class HandMade:
    """The row of a table made by hand."""

    archived_until: datetime
    lag_days: int


def read_hand_made(migration: Migration) -> HandMade | None:
    """The watermark that is there although no migration put it there; None where there is none."""
    if not has_table(migration.config, CONFIG_TABLE) or _was_seeded_by_us(migration):
        return None
    with migration.config.read() as tx:
        rows: list[Any] = list(tx.run("migration_hand_made"))
    if not rows:
        return None
    if len(rows) > 1 or rows[0].id != 1:
        raise WrongSchema(
            "des_archive_config was made by hand and does not hold exactly one row, with id 1",
            hint="leave the row that counts, with id 1: SELECT * FROM des_archive_config",
            ids=", ".join(str(row.id) for row in rows),
            database=migration.config.label,
        )
    return HandMade(from_stored(rows[0].archived_until), _days(rows[0].lag_days, migration))


def _days(value: object, migration: Migration) -> int:
    days = whole_days(value)
    if days is None:
        raise WrongSchema(
            "des_archive_config was made by hand, and its lag_days is no number of days",
            hint=ADOPTION_HINT,
            lag_days=repr(value),
            database=migration.config.label,
        )
    return days


def require_adoptable(migration: Migration) -> None:
    """WrongSchema, before anything is made, where a table made by hand cannot be completed."""
    if not has_table(migration.config, CONFIG_TABLE) or _was_seeded_by_us(migration):
        return
    columns = read_columns(migration.config, CONFIG_TABLE)
    problem = (
        _find_other_engine(migration)
        or _find_wrong_column(columns, migration.config.dialect)
        or _find_own_column(columns, migration)
    )
    if problem is not None:
        raise WrongSchema(
            f"des_archive_config was made by hand, and {problem}",
            hint=ADOPTION_HINT,
            database=migration.config.label,
        )
    read_hand_made(migration)


def _find_other_engine(migration: Migration) -> str | None:
    """What is no table, or takes back nothing of a transaction that fails."""
    with migration.config.translated(), migration.config.engine.connect() as connection:
        if CONFIG_TABLE in sa.inspect(connection).get_view_names():
            return "is a view"
    values = {"schema_name": None, "table_only": CONFIG_TABLE}
    with migration.config.read() as tx:
        row = tx.run("migration_engine", values).first()
    return None if row is None else f"is stored by {row.engine}, which knows no transactions"


def _find_wrong_column(columns: Mapping[str, ReflectedColumn], dialect: Dialect) -> str | None:
    """On SQLite types are wishes: there the values tell."""
    for name, kinds in _COLUMNS.items():
        if name not in columns and name not in ADDED:
            return f"has no column {name}"
        if name not in columns or dialect is Dialect.SQLITE:
            continue
        kind = columns[name]["type"]
        if not isinstance(kind, kinds):
            return f"its column {name} has the type {kind}"
        if name == "updated_by" and (getattr(kind, "length", None) or ACTOR) < ACTOR:
            return f"its column {name} takes less than {ACTOR} characters"
    return None


def _find_own_column(columns: Mapping[str, ReflectedColumn], migration: Migration) -> str | None:
    """SQLite's table is made anew; elsewhere a new row must be possible without them."""
    own = {name: column for name, column in columns.items() if name not in _COLUMNS}
    if migration.config.dialect is Dialect.SQLITE:
        lost = list(own) if "fence" not in columns else []
    else:
        ordinary = ("default", "computed", "identity")
        lost = [
            name
            for name, column in own.items()
            if not (column["nullable"] or any(column.get(key) for key in ordinary))
        ]
    return f"has columns of its own: {', '.join(lost)}" if lost else None


def list_adoption(migration: Migration, catalog: Catalog) -> list[Step]:
    """The steps that complete the table."""
    return [get_step(catalog, UP, name) for name in missing_steps(migration)]


def adopt_config_table(migration: Migration, catalog: Catalog) -> None:
    """Give a table made by hand what it lacks; its value stays as it is."""
    steps = list_adoption(migration, catalog)
    if migration.config.dialect is Dialect.SQLITE:
        _rebuild(migration, steps)
        return
    for step in steps:
        run_steps(migration, Branch.CONFIG, WATERMARK.name, [step])


def _was_seeded_by_us(migration: Migration) -> bool:
    return has_table(migration.config, "des_archive_job") and (
        read_job(migration.config, SEED_JOB) is not None
    )


def missing_steps(migration: Migration) -> Iterator[str]:
    """The steps of 0003_watermark.up that complete the table."""
    if migration.config.dialect is Dialect.SQLITE:
        if "fence" not in read_columns(migration.config, CONFIG_TABLE):
            yield from ("adopt_set_aside", "create_config", "adopt_drop_old")
        return
    yield from _missing_parts(migration)


def _missing_parts(migration: Migration) -> Iterator[str]:
    columns = read_columns(migration.config, CONFIG_TABLE)
    with migration.config.read() as tx:
        clocks = read_clocks(tx, TableName(CONFIG_TABLE))
    exact = {
        name
        for name in ("archived_until", "last_updated")
        if name in columns
        and name not in clocks
        and _is_exact(columns[name], migration.config.dialect)
    }
    if "archived_until" not in exact:
        has_zone = getattr(columns["archived_until"]["type"], "timezone", False)
        yield "adopt_archived_until_precision" if has_zone else "adopt_archived_until"
    for name in ADDED:
        if name not in columns:
            yield f"adopt_{name}"
    if "last_updated" in columns and "last_updated" not in exact:
        yield "adopt_last_updated_type"
    with migration.config.translated(), migration.config.engine.connect() as connection:
        checks = sa.inspect(connection).get_check_constraints(CONFIG_TABLE)
    names = {check["name"] for check in checks}
    for constraint, step in (
        ("des_archive_config_one_row", "adopt_one_row"),
        ("des_archive_config_lag", "adopt_lag"),
    ):
        if constraint not in names:
            yield step


def _is_exact(column: ReflectedColumn, dialect: Dialect) -> bool:
    """Whether the column keeps an instant to the microsecond."""
    kind: Any = column["type"]
    if dialect is Dialect.POSTGRES:
        return bool(getattr(kind, "timezone", False)) and getattr(kind, "precision", None) is None
    # A TIMESTAMP ends in 2038.
    is_plain = isinstance(kind, sa.DateTime) and not isinstance(kind, sa.TIMESTAMP)
    return is_plain and getattr(kind, "fsp", None) == 6


def _rebuild(migration: Migration, steps: list[Step]) -> None:
    """SQLite cannot add a CHECK or a default that is computed: a new table, in one transaction."""
    row = read_hand_made(migration)
    set_aside, create, drop_old = steps

    def work(tx: Transaction) -> None:
        tx.run(set_aside.statement)
        tx.run(create.statement)
        if row is not None:
            values = {
                "archived_until": to_stored(row.archived_until, migration.config.dialect),
                "lag_days": row.lag_days,
                "now": to_stored(migration.now(), migration.config.dialect),
                "actor": migration.actor[:100],
                "fence": 0,
            }
            statement = config_statement(migration.config.dialect, "migration_seed_watermark")
            tx.run(statement, values)
        tx.run(drop_old.statement)

    migration.held.write_in(migration.config, work, is_ddl=True)
