"""The migrations as scripts for psql, mariadb or sqlite3: the same operations, the same result.

Where everything is in one database the script knows no state: the seed is an INSERT … SELECT, and
what is there is presumed. Where the watermark lives in another database than `files`, there is one
script for each, and what crosses over (seed, exceptions, watermark) is read now and written out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from des_core.basics.identifiers import Dialect
from des_core.database.script import CLIENTS
from des_core.database.stored_time import to_stored
from des_core.ledger.archive_table import seed_details
from des_core.ledger.revisions import DROP_ARCHIVED, LEDGER, REVISIONS, Branch, Direction, Revision
from des_core.ledger.watermark import read_watermark
from des_core.migration.base.migration import Migration
from des_core.migration.operations.facts import Facts
from des_core.migration.operations.kinds import Operation, Scene
from des_core.migration.operations.versions import operations_of
from des_core.migration.state.tables import CONFIG_TABLE, has_table
from des_core.migration.steps.script_writer import ScriptWriter

_USAGE = {
    Dialect.POSTGRES: "psql -X -v ON_ERROR_STOP=1 -f FILE",
    Dialect.MYSQL: "mariadb DATABASE < FILE",
    Dialect.SQLITE: "sqlite3 -bail DATABASE < FILE",
}
# A script is written for a database that no revision has touched, or that all of them have.
_BEFORE_UP = {
    "has_jobs": False,
    "has_config_table": False,
    "lacking": (),
    "has_watermark": False,
    "is_seeded": False,
    "was_retired": False,
    "has_column": True,
    "rows_read_true": False,
    "serves_windows": False,
    "has_created_at_index": False,
    "serves_packer": True,
    "has_packer_index": True,
}
_BEFORE_DOWN = {
    **_BEFORE_UP,
    "has_jobs": True,
    "has_config_table": True,
    "has_watermark": True,
    "is_seeded": True,
    "default_is_true": False,
    "flags_are_written": False,
    "serves_windows": True,
    "has_created_at_index": True,
    "index_is_ours": True,
}
_WITHOUT_COLUMN = {"has_column": False, "serves_packer": False, "has_packer_index": False}

Texts = Iterator[tuple[Branch, str]]


@dataclass(frozen=True, slots=True)
class MigrationScript:
    """One script for one database. `place` is `source`, `config` or both."""

    place: str
    database: str
    client: str
    text: str


def render_scripts(migration: Migration, direction: Direction) -> list[MigrationScript]:
    """The scripts for all the way up or down, in the order in which they are to be run."""
    options = migration.options
    chosen = [
        revision
        for revision in REVISIONS
        if (revision is not DROP_ARCHIVED or options.drop_archived)
        and (revision is not LEDGER or direction is Direction.UP or options.purge)
    ]
    ordered = chosen if direction is Direction.UP else chosen[::-1]
    return render_revisions(migration, ordered, direction)


def render_revisions(
    migration: Migration, revisions: Sequence[Revision], direction: Direction
) -> list[MigrationScript]:
    """The scripts for these revisions, in the order in which they are to be run."""
    parts = list(_texts(migration, revisions, direction))
    if migration.shares_database:
        lines = [text for _branch, text in parts]
        return [_script(migration, "source and config", Branch.SOURCE, direction, lines)]
    order = (Branch.CONFIG, Branch.SOURCE)
    if direction is Direction.DOWN:
        order = order[::-1]
    return [
        _script(migration, branch, branch, direction, [t for place, t in parts if place is branch])
        for branch in order
    ]


def _texts(migration: Migration, revisions: Sequence[Revision], direction: Direction) -> Texts:
    writers = {branch: _writer(migration, branch) for branch in Branch}
    facts = Facts(migration, _presumed(revisions, direction))
    for revision in revisions:
        scene = Scene(migration, revision, direction, facts)
        needed = []
        for operation in operations_of(revision, direction):
            if operation.when(scene.facts):
                needed.append((operation, scene))
                after = scene.facts.after(operation.changes(scene))
                scene = Scene(migration, revision, direction, after)
        facts = scene.facts
        yield from _grouped(needed, writers)


def _grouped(
    needed: Iterable[tuple[Operation, Scene]], writers: Mapping[Branch, ScriptWriter]
) -> Texts:
    """Those of one group in one transaction."""
    for (group, place), members in groupby(
        needed, key=lambda item: (item[0].group(item[1]), item[0].place(item[1]))
    ):
        writer = writers[place]
        texts = [text for item, scene in members for text in item.write(scene, writer)]
        for text in writer.transaction(texts) if group else texts:
            yield place, text


def _presumed(revisions: Sequence[Revision], direction: Direction) -> Mapping[str, Any]:
    if direction is Direction.UP:
        return {**_BEFORE_UP, "column_was": None}
    return {**_BEFORE_DOWN, **(_WITHOUT_COLUMN if DROP_ARCHIVED in revisions else {})}


def _writer(migration: Migration, branch: Branch) -> ScriptWriter:
    database, settings = migration.database(branch), migration.settings
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
    return ScriptWriter(
        catalog=migration.catalog(branch),
        values=values,
        apart=apart,
        lock_timeout_s=settings.migration.lock_timeout,
        timezone=settings.database.timezone,
    )


def _watermark_of(migration: Migration) -> dict[str, object]:
    if not has_table(migration.config, CONFIG_TABLE):
        return {}
    with migration.config.read() as tx:
        watermark = read_watermark(tx)
    return {"watermark": migration.schema.to_db(watermark.archived_until)}


def _script(
    migration: Migration,
    place: str,
    branch: Branch,
    direction: Direction,
    lines: Iterable[str],
) -> MigrationScript:
    database = migration.database(branch)
    head = [
        f"-- des-admin migrate {direction}, for the {place} database {database.label}",
        f"-- Run it with: {_USAGE[database.dialect]}",
        *_writer(migration, branch).preamble(),
    ]
    text = "\n\n".join([*head, *lines]) + "\n"
    return MigrationScript(place, database.label, CLIENTS[database.dialect], text)


def _stored(moment: datetime | None, dialect: Dialect) -> object:
    return None if moment is None else to_stored(moment, dialect)
