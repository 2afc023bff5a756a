"""Where the watermark starts, and the rows below that are not archived yet.

1. Choose the seed: the newest archived row, or where nothing is archived, below the oldest row.
2. Count the holes: rows at or below the seed that are not archived. Too many are refused.
3. In one transaction on the config database: the holes as open exceptions, then the watermark.

So from its first moment the watermark, with the exceptions, gives the true answer for each row.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from des_core.basics.errors import Refused
from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import EARLIEST, LATEST, floor_day, format_utc
from des_core.database.stored_time import to_stored
from des_core.database.transaction import Transaction, keyset_pages
from des_core.ledger.archive_table import seed_details
from des_core.ledger.events import record_event
from des_core.ledger.exceptions import NewException, record_exceptions
from des_core.ledger.revisions import WATERMARK
from des_core.ledger.watermark import compute_target
from des_core.migration.base.migration import Migration
from des_core.migration.base.seed_plan import Count, SeedPlan
from des_core.migration.seed.adoption import read_hand_made
from des_core.migration.state.tables import (
    needs_null_pass,
    read_archived_column,
    read_columns,
)
from des_core.migration.steps.sql_file import get_step
from des_core.rows.odd_times import count_odd_times
from des_core.rows.reader import PAGE_KEY
from des_core.rows.values import any_text, location_text, uid_text

UP = f"{WATERMARK.name}.up"
ADOPTED = "adopted"
HOLE_PAGE_SIZE = 1000
COUNT_LIMIT = 1_000_000
_MICROSECOND = timedelta(microseconds=1)
# As far as a zone's offset can be added to it.
LATEST_ROW = LATEST - timedelta(days=3)


def plan_seed(migration: Migration) -> SeedPlan:
    """Look at `files` and decide. Raises Refused where the choice would skip or flood.

    A watermark that is there already, made by hand, is taken as it is.
    """
    migration.schema.require_flag()
    oldest, newest = _extreme(migration, "oldest"), _extreme(migration, "newest")
    now = migration.reader.clock().now
    hand_made = read_hand_made(migration)
    archived_until, origin = (
        (hand_made.archived_until, ADOPTED) if hand_made else _choose(migration, now, oldest)
    )
    if archived_until > now:
        raise _in_the_future(migration, archived_until, now)
    plan = SeedPlan(
        archived_until=archived_until,
        origin=origin,
        lag_days=hand_made.lag_days if hand_made else migration.settings.database.lag_days,
        holes=count_holes(migration, archived_until, migration.settings.migration.max_captured),
        repacked=count_archived_above(migration, archived_until),
        unseen=count_unseen(migration),
        oldest_row=oldest,
        newest_row=newest,
        notes=_notes(migration, archived_until, now, newest),
    )
    _require_few_holes(migration, plan)
    return plan


def count_unseen(migration: Migration, limit: int = COUNT_LIMIT) -> Count:
    """Rows without created_at, or with one that is no time: no window sees them.

    SQLite lets anything in; PostgreSQL has infinities and older years, MySQL the zero date. They
    were never packed, so no watermark makes them archived.
    """
    settings = migration.settings.database
    columns = read_columns(migration.source, settings.table.name, settings.table.schema)
    # IS NULL finds the zero date, too, if the column of MySQL forbids NULL.
    missing = Count(0)
    if columns[settings.created_at_column]["nullable"]:
        missing = _count(migration, "migration_null_created_at", EARLIEST, limit)
    odd = count_odd_times(migration.source, migration.source_catalog, limit).rows
    return Count(missing.rows + odd, is_exact=missing.is_exact and odd < limit)


def count_archived_unseen(migration: Migration, limit: int) -> Count:
    """Those among them that are marked archived."""
    return _count(migration, "migration_archived_unseen", EARLIEST, limit)


def count_holes(migration: Migration, seed: datetime, limit: int) -> Count:
    """Rows at or below `seed` that are not archived, counted up to `limit`."""
    total = _count(migration, "migration_holes_count", seed, limit)
    if needs_null_pass(migration) and total.is_exact:
        unknown = _count(migration, "migration_unknown_count", seed, limit)
        total = Count(total.rows + unknown.rows, unknown.is_exact)
    return total if total.rows <= limit else Count(limit, is_exact=False)


def count_archived_above(migration: Migration, moment: datetime, limit: int = COUNT_LIMIT) -> Count:
    """Rows above `moment` that are marked archived, counted up to `limit`."""
    return _count(migration, "migration_archived_above", moment, limit)


def count_rows(migration: Migration, start: datetime, end: datetime) -> Count:
    """Rows of `(start, end]`, counted up to a limit."""
    values = {**migration.schema.window(start, end), "limit": COUNT_LIMIT + 1}
    with migration.source.read() as tx:
        statement = migration.source_catalog.get("migration_rows_between")
        rows = int(tx.run(statement, values).one().files)
    return Count(min(rows, COUNT_LIMIT), is_exact=rows <= COUNT_LIMIT)


def write_seed(migration: Migration, plan: SeedPlan, *, fence: int) -> int:
    """Exceptions and watermark in one transaction; how many holes were captured."""
    now = migration.now()
    dialect = migration.config.dialect
    limit = migration.settings.migration.max_captured

    def work(tx: Transaction) -> int:
        captured = 0
        for page in iterate_holes(migration, plan.archived_until, tx):
            captured += len(page)
            if captured > limit:
                raise _too_many(migration, plan)
            record_exceptions(tx, page, now=now)
        values = {
            "archived_until": to_stored(plan.archived_until, dialect),
            "lag_days": plan.lag_days,
            "now": to_stored(now, dialect),
            "actor": migration.actor[:100],
            "fence": fence,
        }
        if plan.origin != ADOPTED:
            tx.run("migration_seed_watermark", values)
        remember = get_step(migration.config_catalog, UP, "remember_seed").statement
        details = seed_details(migration.settings.database.table)
        tx.run(remember, {"details": details})
        record_event(
            tx,
            action="migrate.seed",
            actor=migration.actor,
            now=now,
            to_value=format_utc(plan.archived_until),
            reason=migration.options.reason,
            details={"origin": plan.origin, "captured": captured, "fence": fence},
        )
        return captured

    return migration.write(work)


def iterate_holes(
    migration: Migration, seed: datetime, config_tx: Transaction
) -> Iterator[list[NewException]]:
    """Rows at or below `seed` that are not archived, as exceptions, in keyset pages.

    On one SQLite file the pages are read through the connection that writes, which alone can
    read while it does.
    """
    if read_archived_column(migration) is None:
        return
    kinds = ["holes", *(["unknown"] if needs_null_pass(migration) else [])]
    for kind in kinds:
        values = {**_seed_values(migration, seed), "page_size": HOLE_PAGE_SIZE}
        read = partial(_page, migration, f"migration_{kind}", tx=config_tx)
        for rows in keyset_pages(read, values, PAGE_KEY):
            yield [_hole(migration, row) for row in rows]


def _choose(migration: Migration, now: datetime, oldest: datetime | None) -> tuple[datetime, str]:
    if migration.options.seed_at is not None:
        return migration.options.seed_at, "seed_at"
    newest = newest_archived(migration)
    if newest is not None:
        return newest, "newest_archived"
    if oldest is None:
        return compute_target(now, migration.settings.database.lag_days), "target"
    below = floor_day(oldest - _MICROSECOND)
    default = migration.settings.watermark.default_archived_until
    if default is not None and default < oldest:
        return default, "default_archived_until"
    return below, "below_oldest"


def _in_the_future(migration: Migration, seed: datetime, now: datetime) -> Refused:
    """A device may have made a row of 2099: the newest one before now is named beside it."""
    sane = newest_archived(migration, until=now)
    earlier = "TIMESTAMP" if sane is None else format_utc(sane)
    return Refused(
        "the watermark would start in the future",
        hint=f"name an earlier time: --seed-at {earlier}",
        seed=format_utc(seed),
        now=format_utc(now),
        newest_before_now=None if sane is None else format_utc(sane),
    )


def _notes(
    migration: Migration, seed: datetime, now: datetime, newest: datetime | None
) -> tuple[str, ...]:
    notes = []
    if newest is not None and newest > now:
        notes.append(f"the newest row lies in the future, at {format_utc(newest)}: look at it")
    if read_archived_column(migration) is None:
        notes.append("files has no column archived: only the initial watermark decides")
    if seed > compute_target(now, migration.settings.database.lag_days):
        notes.append("the initial watermark lies above the target: until then cycles do nothing")
    return tuple(notes)


def _require_few_holes(migration: Migration, plan: SeedPlan) -> None:
    if not plan.holes.is_exact:
        raise _too_many(migration, plan)


def _too_many(migration: Migration, plan: SeedPlan) -> Refused:
    first = _first_hole(migration, plan.archived_until)
    alternative = ""
    if first is not None:
        below = floor_day(first.created_at - _MICROSECOND)
        again = count_archived_above(migration, below)
        alternative = (
            f"begin below the oldest hole: --seed-at {format_utc(below)} ({again} archived rows"
            " would be packed again); or "
        )
    limit = migration.settings.migration.max_captured
    return Refused(
        "too many rows below the initial watermark are not archived",
        hint=alternative + "pack them in per-record mode first: des-migrate --config FILE;"
        f" or raise migration.max_captured (now {limit:,})",
        seed=format_utc(plan.archived_until),
        holes=f"more than {limit:,}",
    )


def _first_hole(migration: Migration, seed: datetime) -> NewException | None:
    values = {**_seed_values(migration, seed), "page_size": 1}
    rows = _page(migration, "migration_holes", values, None)
    return _hole(migration, rows[0]) if rows else None


def _hole(migration: Migration, row: Any) -> NewException:
    return NewException(
        uid=uid_text(row.uid),
        created_at=migration.schema.from_db(row.created_at),
        location=location_text(row.location),
        archived=False,
        reason="pending_at_seed",
        attempts=0,
    )


def _page(
    migration: Migration, name: str, values: dict[str, Any], tx: Transaction | None
) -> list[Any]:
    """The first page, or where the values go on from a row, the next."""
    which = "next" if "page_key" in values else "first"
    statement = migration.source_catalog.get(f"{name}_{which}")
    if tx is not None and migration.shares_database:
        with any_text(tx.connection):
            return list(tx.run(statement, values))
    with migration.source.read() as own, any_text(own.connection):
        return list(own.run(statement, values))


def oldest_row(migration: Migration) -> datetime:
    """created_at of the oldest row; the beginning of time for an empty table."""
    return _extreme(migration, "oldest") or EARLIEST


def newest_row(migration: Migration) -> datetime:
    """created_at of the newest row; the beginning of time for an empty table."""
    return _extreme(migration, "newest") or EARLIEST


def _extreme(migration: Migration, which: str) -> datetime | None:
    with migration.source.read() as tx:
        statement = migration.source_catalog.get(f"migration_{which}_row")
        value = tx.run(statement).scalar()
    return None if value is None else migration.schema.from_db(value)


def newest_archived(migration: Migration, until: datetime = LATEST_ROW) -> datetime | None:
    """created_at of the newest row up to `until` that is marked archived; None where none is."""
    if read_archived_column(migration) is None:
        return None
    with migration.source.read() as tx:
        statement = migration.source_catalog.get("migration_newest_archived")
        value = tx.run(statement, migration.schema.window(until, until)).scalar()
    return None if value is None else migration.schema.from_db(value)


def _count(migration: Migration, name: str, seed: datetime, limit: int) -> Count:
    needs_column = name != "migration_null_created_at"
    if needs_column and read_archived_column(migration) is None:
        return Count(0)
    values = {**_seed_values(migration, seed), "limit": limit + 1}
    with migration.source.read() as tx:
        rows = int(tx.run(migration.source_catalog.get(name), values).one().files)
    return Count(rows) if rows <= limit else Count(limit, is_exact=False)


def _seed_values(migration: Migration, seed: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {"seed": migration.schema.to_db(seed)}
    if migration.source.dialect is Dialect.SQLITE:
        bounds = migration.schema.window(seed, seed)
        values |= {name: bounds[name] for name in ("net_start", "net_end")}
    return values
