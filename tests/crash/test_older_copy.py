"""The config database is an older copy of itself: restored, or a replica that lagged took over.

Watermark, ledger, exceptions and trail go back together, so they do not contradict each other; the
output and `files` are newer. Nothing is lost or packed twice, and doctor says what happened.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from des_core.checks import Status, examine
from support.crash.lifetime import Life
from support.servers.database import TestDatabase
from watermark_orchestrator.cycle import run_cycle

OURS = (
    "des_archive_config",
    "des_archive_slice",
    "des_archive_shard",
    "des_archive_exception",
    "des_archive_event",
    "des_archive_worker",
    "des_archive_job",
    "des_archive_lease",
)


def saved(database: TestDatabase) -> dict[str, list[Any]]:
    with database.session() as session:
        return {
            name: [dict(row) for row in session.execute(sa.select(table)).mappings()]
            for name, table in tables_of(session).items()
        }


def restore(database: TestDatabase, copy: dict[str, list[Any]]) -> None:
    with database.session() as session:
        tables = tables_of(session)
        for name in reversed(OURS):
            if name in tables:
                session.execute(tables[name].delete())
        for name in OURS:
            if copy.get(name):
                session.execute(tables[name].insert(), copy[name])


def tables_of(session: sa.Connection) -> dict[str, sa.Table]:
    there = set(sa.inspect(session).get_table_names())
    return {n: sa.Table(n, sa.MetaData(), autoload_with=session) for n in OURS if n in there}


@pytest.fixture
def life(database: TestDatabase, tmp_path: Path) -> Life:
    """Eight days of three rows each; two archived before, two packed, one of them broken."""
    life = Life(database, tmp_path)
    for day in range(8):
        for moment in (timedelta(0), timedelta(hours=7), timedelta(hours=23)):
            life.insert(day, moment, 40 * day, archived=day < 2)
    life.up()
    life.set_target(4)
    life.break_source(sorted(uid for uid, r in life.rows.items() if r.row.created_at.day)[-1])
    life.do(run_cycle)
    return life


def later(life: Life) -> None:
    """What is forgotten: cycles, a late row, an exception that was packed, sources deleted."""
    life.set_target(8)
    life.do(run_cycle)
    life.insert(5, timedelta(hours=3), 40)
    life.do(life.reconcile)
    life.do(life.retry)
    life.do(life.delete_sources)


def packs_on(life: Life) -> None:
    life.set_target(8)
    life.do(run_cycle)


def packs_per_record(life: Life) -> None:
    life.down()
    life.pack_per_record()
    life.up()
    packs_on(life)


def moves_by_hand(life: Life) -> None:
    life.do(lambda archive: life.move(archive, life.first_day + timedelta(days=3)))
    packs_on(life)


def looks_for_late_rows(life: Life) -> None:
    life.do(life.reconcile)
    packs_on(life)


NEXT: list[Callable[[Life], None]] = [
    packs_on,
    packs_per_record,
    moves_by_hand,
    looks_for_late_rows,
]


@pytest.mark.parametrize("then", NEXT, ids=lambda act: act.__name__)
def test_nothing_is_lost_and_nothing_is_packed_twice(
    life: Life, then: Callable[[Life], None]
) -> None:
    copy = saved(life.database)
    later(life)
    life.check()
    restore(life.database, copy)
    life.check()
    found = {check.name: check for check in examine(life.settings)}
    assert found["audit trail"].status is Status.FAILED, found["audit trail"]
    then(life)
    life.all_known()
    life.check()
    life.mend_sources()
    life.do(life.reconcile)
    life.do(life.retry)
    life.check_at_rest()
    life.do(life.verify)
