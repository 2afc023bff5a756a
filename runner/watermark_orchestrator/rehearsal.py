"""A rehearsal of the cutover and the way back, on a scratch copy with some days of real rows.

1. A scratch database, with the table as it is and rows of some days.
2. Up: ledger, index, watermark, exceptions.
3. A cycle packs what waits into a scratch directory; sources are read, never deleted.
4. The column is dropped, then everything is rolled back.
5. Every row is compared: `archived` with the formula, every other column with what it was.
6. Database and directory go, also after a failure.

Nothing of the real archive is written: not its table, not its watermark, not its output.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import SecretStr

from des_core.backup.identity import Target, open_target
from des_core.basics.errors import DesError, WrongSchema
from des_core.basics.identifiers import Dialect
from des_core.basics.wording import numbered
from des_core.ledger.exceptions import iterate_open
from des_core.ledger.watermark import read_watermark
from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import Migration, MigrationOptions, open_migration
from des_core.migration.state.tables import read_archived_column
from des_core.rehearsal.sample import Row, Sample, copy_sample, read_all
from des_core.rehearsal.scratch import scratch_database
from des_core.settings.config import Settings
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

ROWS_PER_DAY = 500
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Act:
    """One part of the rehearsal and its result. `problem` None: as it should be."""

    name: str
    detail: str
    seconds: float
    problem: str | None = None


def rehearse(settings: Settings, *, rows_per_day: int = ROWS_PER_DAY) -> Iterator[Act]:
    """Act by act, as each ends; nothing follows one that failed.

    Refused where no copy can be made; WrongSchema where the column archived is gone already.
    """
    source = open_target(settings.direct_url)
    try:
        with scratch_database(source) as scratch, TemporaryDirectory(prefix="des-") as output:
            small = _scratch_settings(settings, scratch, output)
            with _timed() as passed:
                sample = _copy(settings, scratch, rows_per_day)
                with open_migration(small) as migration:
                    before = read_all(migration)
            yield Act("copy", _describe(sample, scratch), passed())
            yield from _play(small, before)
        yield Act("clean up", "the scratch database and its shards are gone", 0.0)
    finally:
        source.database.close()


def _play(settings: Settings, before: list[Row]) -> Iterator[Act]:
    expected: dict[Any, bool] = {}
    drop = MigrationOptions(drop_archived=True, backup="rehearsal", reason="rehearsal")

    def remember() -> str:
        with open_migration(settings) as migration:
            expected.update(_formula(migration, before))
        return f"{numbered(sum(expected.values()), 'row')} will be archived"

    acts: tuple[tuple[str, Callable[[], str]], ...] = (
        ("up", lambda: ", ".join(upgrade(settings).revisions)),
        ("run", lambda: _pack(settings)),
        ("formula", remember),
        ("drop archived", lambda: ", ".join(upgrade(settings, options=drop).revisions)),
        ("down", lambda: ", ".join(downgrade(settings).revisions)),
        ("compare", lambda: _compare(settings, before, expected)),
    )
    for name, work in acts:
        with _timed() as passed:
            try:
                detail, problem = work(), None
            except DesError as exc:
                detail, problem = str(exc), exc.hint or "des-admin doctor"
        yield Act(name, detail, passed(), problem)
        if problem is not None:
            return


def _copy(settings: Settings, scratch: Target, rows_per_day: int) -> Sample:
    with open_migration(settings, only_look=True) as migration:
        if read_archived_column(migration) is None:
            raise WrongSchema(
                "the column archived is gone already: there is no cutover left to rehearse",
                hint="des-admin migrate plan --down shows the way back",
            )
        return copy_sample(migration, scratch, rows_per_day)


def _pack(settings: Settings) -> str:
    with open_archive(settings, actor="rehearsal") as archive:
        report = run_cycle(archive)
    failed = f", {report.files_failed:,} could not be packed" if report.files_failed else ""
    return f"{numbered(report.files_out, 'file')} packed{failed}"


def _formula(migration: Migration, rows: list[Row]) -> dict[Any, bool]:
    """What `archived` must read after the rollback, by uid and created_at."""
    with migration.config.read() as tx:
        until = read_watermark(tx).archived_until
    exceptions = {
        (item.uid, item.created_at): item.archived
        for page in iterate_open(migration.config)
        for item in page
    }
    keys = [_key(migration, row) for row in rows]
    return {key: exceptions.get(key, key[1] <= until) for key in keys}


def _compare(settings: Settings, before: list[Row], expected: dict[Any, bool]) -> str:
    flag = settings.database.archived_column or "archived"
    with open_migration(settings) as migration:
        after = {_key(migration, row): row for row in read_all(migration)}
        wrong = []
        for row in before:
            key = _key(migration, row)
            found = after.get(key)
            rest = {name: value for name, value in row.items() if name != flag}
            if (
                found is None
                or any(found[name] != value for name, value in rest.items())
                or bool(found[flag]) is not expected[key]
            ):
                wrong.append(str(key[0])[:80])
    if wrong or len(after) != len(before):
        raise DesError(
            f"{len(wrong):,} of {numbered(len(before), 'row')} are not what they should be",
            hint="do not migrate; keep what this printed, and report it",
            rows_after=f"{len(after):,}",
            examples=", ".join(wrong[:SHOWN]) or None,
        )
    return f"{numbered(len(before), 'row')} as before, and archived says what the watermark said"


def _key(migration: Migration, row: Row) -> tuple[str, datetime]:
    settings = migration.settings.database
    at = migration.schema.from_db(row[settings.created_at_column])
    return str(row[settings.uid_column]), at


def _scratch_settings(settings: Settings, scratch: Target, output: str) -> Settings:
    """The same rules for another place; one database for both, one worker's share: all of it."""
    url = SecretStr(scratch.url.render_as_string(hide_password=False))
    database: dict[str, Any] = {"url": url, "shard_id": None, "shards_total": None}
    if scratch.dialect is Dialect.MYSQL:
        name = settings.database.table.name.replace('"', '""')
        database |= {"table_name": f'"{name}"', "schema_name": None}
    return settings.model_copy(
        update={
            "database": settings.database.model_copy(update=database),
            "watermark": settings.watermark.model_copy(update={"config_db_url": None}),
            "packer": settings.packer.model_copy(update={"output_dir": output}),
            "migration": settings.migration.model_copy(
                update={"delete_source_files": False, "url": None}
            ),
        }
    )


def _describe(sample: Sample, scratch: Target) -> str:
    place = "a scratch file" if scratch.dialect is Dialect.SQLITE else scratch.url.database
    days = f" of {numbered(sample.days, 'day')}" if sample.days else " of blocks chosen at random"
    return f"{numbered(sample.rows, 'row')}{days} in {place}"


@contextmanager
def _timed() -> Iterator[Callable[[], float]]:
    began = time.monotonic()
    yield lambda: time.monotonic() - began
