"""The plan: a value computed before anything changes. `--dry-run` prints it, `up` consumes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from des_core.basics.errors import Refused
from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import format_utc
from des_core.ledger.archive_table import SLICE_TABLE, find_watermark_elsewhere
from des_core.ledger.provenance import find_provenance, refuse_unexplained
from des_core.ledger.revisions import (
    BY_NAME,
    CREATED_AT_INDEX,
    DROP_ARCHIVED,
    LEDGER,
    REVISIONS,
    VERSION_TABLE,
    WATERMARK,
    Direction,
    Revision,
    applied_revisions,
)
from des_core.ledger.slices import count_files, is_begun
from des_core.locks.leases import LEASE_TABLE
from des_core.migration.base.migration import Migration
from des_core.migration.base.seed_plan import SeedPlan
from des_core.migration.gate.checks import (
    GateFinding,
    check_gate,
    find_update_triggers,
    preview_gate,
)
from des_core.migration.operations.planned import PlannedStatement, list_statements
from des_core.migration.operations.versions import operations_of
from des_core.migration.seed.adoption import require_adoptable
from des_core.migration.seed.seeding import plan_seed
from des_core.migration.state.blockers import Blocker, find_blockers
from des_core.migration.state.heads import all_heads
from des_core.migration.state.server_traps import RowVersions, read_row_versions
from des_core.migration.state.tables import (
    CHILD_HINT,
    CONFIG_TABLE,
    estimate_rows,
    find_bare_children,
    has_table,
    read_columns,
    serves_windows,
    table_values,
)
from des_core.packing.forecast import ShardForecast, forecast_shards

HASH_LENGTH = 12
# Up to so many rows the seed may be looked for without an index on created_at: a second's work.
MOST_ROWS_TO_SCAN = 1_000_000


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """What `up` or `down` will do, from the state that was found.

    `hash` names what will be done; numbers that change by themselves are left out of it.
    `continues`: the seed of a big table is looked for, and planned, once the index is there.
    `shards`: what they will be like, while their number can still be chosen.
    `forgotten_files`: those in the ledger that goes, with purge.
    """

    direction: Direction
    revisions: tuple[str, ...]
    statements: tuple[PlannedStatement, ...]
    seed: SeedPlan | None
    gate: tuple[GateFinding, ...]
    blockers: tuple[Blocker, ...]
    estimated_rows: int | None
    table_bytes: int | None
    hash: str
    continues: bool = False
    row_versions: RowVersions | None = None
    shards: ShardForecast | None = None
    forgotten_files: int | None = None

    @property
    def is_empty(self) -> bool:
        return not self.revisions

    @property
    def todo(self) -> tuple[Revision, ...]:
        return tuple(BY_NAME[name] for name in self.revisions)


def plan_upgrade(migration: Migration) -> MigrationPlan:
    """What `up` has to do. Refused where the seed cannot be chosen; nothing is changed.

    Where looking for the seed would read a big table from end to end, it is the plan as far as
    the index on created_at: it `continues` with another plan.
    """
    require_own_tables(migration)
    revisions = revisions_up(migration)
    if revisions:
        require_watermark_in_reach(migration)
        require_table_is_able(migration)
    if WATERMARK in revisions:
        require_indexed_children(migration)
        require_adoptable(migration)
    if seed_needs_index(migration, revisions):
        revisions = tuple(r for r in revisions if r.name <= CREATED_AT_INDEX.name)
        statements = list_statements(migration, revisions, Direction.UP)
        gate = preview_gate(migration) if migration.options.drop_archived else []
        return _make_plan(
            migration, Direction.UP, revisions, statements, None, gate, continues=True
        )
    seed = plan_seed(migration) if WATERMARK in revisions else None
    migration.seed_plan = seed
    statements = list_statements(migration, revisions, Direction.UP)
    gate = []
    if DROP_ARCHIVED in revisions:
        gate = preview_gate(migration) if seed else check_gate(migration)
    shards = None if seed is None else _foresee_shards(migration)
    return _make_plan(migration, Direction.UP, revisions, statements, seed, gate, shards=shards)


def _foresee_shards(migration: Migration) -> ShardForecast | None:
    """None where an archive was begun before the watermark was retired, or the table is empty."""
    if has_table(migration.config, SLICE_TABLE) and is_begun(migration.config):
        return None
    until = migration.reader.clock().now
    return forecast_shards(migration.reader, migration.settings.packer.n_bits, until)


def require_table_is_able(migration: Migration) -> None:
    """Refused where the column says neither yes nor no, or the table knows no transactions."""
    migration.schema.require_flag()
    with migration.source.read() as tx:
        statement = migration.source_catalog.get("migration_engine")
        row = tx.run(statement, table_values(migration)).first()
    if row is not None:
        raise Refused(
            f"files is stored by {row.engine}, which knows no transactions: flags that are half"
            " written could not be taken back",
            hint="move it to InnoDB first, in a quiet hour: ALTER TABLE … ENGINE=InnoDB",
            table=str(migration.settings.database.table),
        )


def require_indexed_children(migration: Migration) -> None:
    """Refused where each statement on `files` would read a table that inherits from it whole."""
    bare = find_bare_children(migration)
    if bare:
        raise Refused(
            "child tables of files have no index on created_at, and each statement on files reads"
            " them, too",
            hint=CHILD_HINT.format(column=migration.settings.database.created_at_column),
            tables=", ".join(bare[:5]),
        )


def require_own_tables(migration: Migration) -> None:
    """Refused where a table was dropped whose revision is in place: nothing would make it again."""
    missing = missing_tables(migration)
    if missing:
        raise Refused(
            f"{', '.join(missing)} is gone, though its revision is in place: it was dropped",
            hint=f"restore it from a backup; without one, delete the row {WATERMARK.name} of "
            f"{VERSION_TABLE} by SQL, then: des-admin migrate up",
            database=migration.config.label,
        )


def missing_tables(migration: Migration) -> list[str]:
    """Our tables that are not there, though their revisions are; a lock makes its own."""
    done = applied_revisions(all_heads(migration))
    names = [CONFIG_TABLE] if WATERMARK.name in done else []
    if LEDGER.name in done:
        made = (operation.name for operation in operations_of(LEDGER, Direction.UP))
        names += [f"des_archive_{name[7:]}" for name in made if name.startswith("create_")]
    return [n for n in names if n != LEASE_TABLE and not has_table(migration.config, n)]


def require_watermark_in_reach(migration: Migration) -> None:
    """Refused where another user's search_path made the tables: a second one would be made."""
    if not migration.shares_database:
        return
    table = migration.settings.database.table
    schema = find_watermark_elsewhere(migration.source, migration.source_catalog, table)
    if schema is not None:
        raise Refused(
            f"the schema {schema}, where files is, has a watermark that this user's search_path"
            " does not reach: a second one would be made",
            hint=f"ALTER ROLE USER SET search_path = {schema}; then run the same command again",
            table=str(table),
        )


def plan_downgrade(migration: Migration) -> MigrationPlan:
    """What `down` has to do; nothing is changed.

    Refused where SQL moved the watermark ahead of packing.
    """
    revisions = revisions_down(migration)
    if revisions:
        require_table_is_able(migration)
    if WATERMARK in revisions:
        refuse_unexplained(find_provenance(migration.config))
        require_no_views(migration)
    statements = list_statements(migration, revisions, Direction.DOWN)
    triggers = find_update_triggers(migration) if WATERMARK in revisions else None
    gate = [] if triggers is None else [triggers]
    forgotten = count_files(migration.config) if LEDGER in revisions else None
    return _make_plan(
        migration, Direction.DOWN, revisions, statements, None, gate, forgotten_files=forgotten
    )


def require_no_views(migration: Migration) -> None:
    """Refused where a view reads the watermark's table, which is dropped at the end.

    PostgreSQL would not drop it; MySQL and SQLite do.
    """
    is_postgres = migration.config.dialect is Dialect.POSTGRES
    if not (is_postgres and has_table(migration.config, CONFIG_TABLE)):
        return
    values = {"table_name": CONFIG_TABLE, "table_only": CONFIG_TABLE, "own_index": ""}
    names = set()
    with migration.config.read() as tx:
        for column in read_columns(migration.config, CONFIG_TABLE):
            rows = tx.run("migration_column_users", {**values, "column_name": column})
            names |= {str(row.name) for row in rows if row.kind == "view"}
    if names:
        raise Refused(
            f"{CONFIG_TABLE} goes with its watermark, and views read it: "
            + ", ".join(sorted(names)),
            hint="drop them, and make them again after the next des-admin migrate up; then run the "
            "same command again",
            database=migration.config.label,
        )


def revisions_up(migration: Migration) -> tuple[Revision, ...]:
    """The revisions that `up` has to run, in order."""
    done = applied_revisions(all_heads(migration))
    return tuple(
        revision
        for revision in REVISIONS
        if revision.name not in done
        and (revision is not DROP_ARCHIVED or migration.options.drop_archived)
    )


def seed_needs_index(migration: Migration, revisions: tuple[Revision, ...]) -> bool:
    """Whether the index must come first, because looking for the seed would scan a big table."""
    if WATERMARK not in revisions or CREATED_AT_INDEX not in revisions:
        return False
    rows = estimate_rows(migration)
    is_big = rows is not None and rows > MOST_ROWS_TO_SCAN
    return is_big and not serves_windows(migration)


def revisions_down(migration: Migration) -> tuple[Revision, ...]:
    """The revisions that `down` has to undo, in order."""
    done = applied_revisions(all_heads(migration))
    return tuple(
        revision
        for revision in reversed(REVISIONS)
        if revision.name in done and (revision is not LEDGER or migration.options.purge)
    )


def require_current(migration: Migration, plan: MigrationPlan) -> None:
    """Refused where somebody migrated between the plan and its execution."""
    needed = (
        revisions_up(migration) if plan.direction is Direction.UP else revisions_down(migration)
    )
    if plan.continues:
        needed = tuple(r for r in needed if r.name <= CREATED_AT_INDEX.name)
    if needed != plan.todo:
        raise Refused(
            "the databases have changed since the plan was made; nothing was done",
            hint="look at it again: des-admin migrate plan",
            planned=", ".join(plan.revisions) or "nothing",
            needed=", ".join(revision.name for revision in needed) or "nothing",
        )


def _make_plan(
    migration: Migration,
    direction: Direction,
    revisions: tuple[Revision, ...],
    statements: Iterable[PlannedStatement],
    seed: SeedPlan | None,
    gate: list[GateFinding],
    *,
    continues: bool = False,
    shards: ShardForecast | None = None,
    forgotten_files: int | None = None,
) -> MigrationPlan:
    names = tuple(revision.name for revision in revisions)
    listed = tuple(statements)
    return MigrationPlan(
        direction=direction,
        revisions=names,
        statements=listed,
        seed=seed,
        gate=tuple(gate),
        blockers=tuple(find_blockers(migration)) if names else (),
        estimated_rows=estimate_rows(migration),
        table_bytes=_number(migration, "migration_table_size", "size_bytes"),
        hash=_hash(migration, direction, names, listed, seed),
        continues=continues,
        row_versions=read_row_versions(migration),
        shards=shards,
        forgotten_files=forgotten_files,
    )


def _hash(
    migration: Migration,
    direction: Direction,
    revisions: tuple[str, ...],
    statements: tuple[PlannedStatement, ...],
    seed: SeedPlan | None,
) -> str:
    content = {
        "direction": direction,
        "databases": [migration.source.label, migration.config.label],
        "revisions": revisions,
        "statements": [[statement.step, statement.sql] for statement in statements],
        "seed": None if seed is None else format_utc(seed.archived_until),
        "backup": migration.options.backup,
        "purge": migration.options.purge,
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]


def _number(migration: Migration, query: str, column: str) -> int | None:
    with migration.source.read() as tx:
        statement = migration.source_catalog.get(query)
        row = tx.run(statement, table_values(migration)).first()
    value = None if row is None else getattr(row, column)
    return None if value is None else int(value)
