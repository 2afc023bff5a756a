"""The lease is stolen before each transaction of each job: nothing is written, and exit code 11.

And nobody can steal it between the proof in a transaction and its commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from des_core.basics.errors import DesError, ExitCode
from des_core.ledger.exception_edits import ExceptionFilter, execute_resolve, plan_resolve
from des_core.ledger.watermark_edits import execute_lag, execute_move, plan_lag, plan_move
from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import MigrationOptions
from des_core.migration.compliance import sync_flags
from des_core.reading.ledger_rebuild import execute_rebuild, plan_rebuild
from des_core.reading.verify import verify_shards
from des_core.reading.verify_tasks import list_tasks
from support.crash.lifetime import Life
from support.crash.thief import LateThief, Thief
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import Archive, open_archive
from watermark_orchestrator.cycle import run_cycle
from watermark_orchestrator.repair import repair_now

DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
MORE_THAN_ANY = 80


@dataclass(frozen=True)
class Job:
    """`arrange` makes something to do; `act` does it, and may be called again."""

    arrange: Callable[[Life], None]
    act: Callable[[Life], None]


def on_archive(act: Callable[[Archive], None]) -> Callable[[Life], None]:
    return lambda life: life.do(act)


def nothing(_life: Life) -> None:
    pass


def cut_over(life: Life) -> None:
    life.up()
    life.set_target(6)


def packed(life: Life) -> None:
    cut_over(life)
    life.do(run_cycle)


def packed_but_one(life: Life) -> None:
    cut_over(life)
    life.break_source(sorted(life.rows)[-1])
    life.do(run_cycle)
    life.database.execute("UPDATE des_archive_exception SET next_attempt = NULL")


def mended(life: Life) -> None:
    packed_but_one(life)
    life.mend_sources()


def with_late_row(life: Life) -> None:
    packed(life)
    life.insert(4, timedelta(hours=3), 40)


def damaged(life: Life) -> None:
    packed(life)
    path = sorted(life.output.glob("*.des"))[-1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def repair(archive: Archive) -> None:
    tasks = list_tasks(archive.storage, archive.config)
    found = verify_shards(
        archive.storage, archive.config, tasks, on_verdict=lambda _: None, threads=1
    )
    repair_now(archive, found.findings)


def without_ledger(life: Life) -> None:
    packed(life)
    for table in ("des_archive_shard", "des_archive_slice"):
        life.database.execute(f"DELETE FROM {table}")


def rebuild(archive: Archive) -> None:
    plan = plan_rebuild(archive.storage, archive.config)
    execute_rebuild(archive.config, plan, actor="tests", run_id="0" * 32)


def rewind(life: Life) -> None:
    to = life.first_day + timedelta(days=3)

    def act(archive: Archive) -> None:
        plan = plan_move(archive.config, archive.source, to, max_captured=1000)
        execute_move(
            archive.config, archive.source, plan, action="set", actor="tests", reason="why not"
        )

    life.do(act)


def change_lag(archive: Archive) -> None:
    plan = plan_lag(archive.config, archive.source, 40)
    execute_lag(archive.config, plan, actor="tests", reason=None)


def resolve(archive: Archive) -> None:
    plan = plan_resolve(archive.config, ExceptionFilter())
    execute_resolve(archive.config, plan, actor="tests", reason="lost for ever")


def dropped(life: Life) -> None:
    packed(life)
    upgrade(life.settings, options=DROP)


def work_as_one_of_two(life: Life) -> None:
    shared = {"shards_total": 2, "shard_id": 0}
    database = life.settings.database.model_copy(update=shared)
    with open_archive(life.settings.model_copy(update={"database": database})) as archive:
        run_cycle(archive)


JOBS = {
    "cycle": Job(cut_over, on_archive(run_cycle)),
    "static worker": Job(cut_over, work_as_one_of_two),
    "late rows in a cycle": Job(with_late_row, on_archive(run_cycle)),
    "retry": Job(mended, lambda life: life.do(life.retry)),
    "reconcile": Job(with_late_row, lambda life: life.do(life.reconcile)),
    "repair": Job(damaged, on_archive(repair)),
    "deletion": Job(packed, lambda life: life.do(life.delete_sources)),
    "move": Job(packed, rewind),
    "lag": Job(packed, on_archive(change_lag)),
    "resolve": Job(packed_but_one, on_archive(resolve)),
    "rebuild": Job(without_ledger, on_archive(rebuild)),
    "up": Job(nothing, lambda life: upgrade(life.settings)),
    "drop": Job(packed, lambda life: upgrade(life.settings, options=DROP)),
    "down": Job(packed, lambda life: downgrade(life.settings)),
    "down after the drop": Job(dropped, lambda life: downgrade(life.settings)),
    "compliance": Job(packed, lambda life: sync_flags(life.settings)),
    "per record": Job(nothing, lambda life: life.pack_per_record()),
}


@pytest.fixture
def life(database: TestDatabase, tmp_path: Path) -> Life:
    """Six days of three rows each, the first two of them archived before."""
    life = Life(database, tmp_path)
    for day in range(6):
        for moment in (timedelta(0), timedelta(hours=7), timedelta(hours=23)):
            life.insert(day, moment, 40 * day, archived=day < 2)
    return life


def snapshot(life: Life) -> dict[str, Any]:
    """Everything that a job may change, but for the leases themselves."""
    tables = life.database.table_names() - {"des_archive_lease"}
    with life.database.session() as session:
        inspector = sa.inspect(session)
        shape = {
            table: [
                [str(column["name"]) for column in inspector.get_columns(table)],
                sorted(str(index["name"]) for index in inspector.get_indexes(table)),
            ]
            for table in tables
        }
    rows = {
        table: sorted(map(repr, life.database.rows(f"SELECT * FROM {table}"))) for table in tables
    }
    return {
        "shape": shape,
        "rows": rows,
        "sources": sorted(path.name for path in life.sources.iterdir()),
        "watched": sorted(
            path.name for path in life.output.rglob("*.des") if "_damaged" in str(path)
        ),
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", JOBS)
def test_stolen_before_each_transaction(name: str, life: Life) -> None:
    job = JOBS[name]
    job.arrange(life)
    thefts = 0
    for spare in range(MORE_THAN_ANY):
        thief = Thief(life.database, spare)
        seen: list[dict[str, Any]] = []
        error: DesError | None = None
        with thief.at_work(lambda seen=seen: seen.append(snapshot(life))):
            try:
                job.act(life)
            except DesError as caught:
                error = caught
        if not thief.has_stolen:
            assert error is None
            break
        assert snapshot(life) == seen[0], f"written after the theft before transaction {spare}"
        if error is None:
            assert thief.began == spare + 1, "only the lock was given back after the theft"
        else:
            assert error.exit_code == ExitCode.LOCKED, error
            thefts += 1
        thief.give_back()
    assert 0 < thefts < MORE_THAN_ANY - 1
    print(f"\n{life.database.server}, {name}: {thefts} thefts, nothing written")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
def test_nobody_can_steal_it_between_proof_and_commit(name: str, life: Life) -> None:
    """On SQLite nobody writes while another one does."""
    job = JOBS[name]
    job.arrange(life)
    thief = LateThief(life.database)
    with thief.at_work():
        job.act(life)
    assert thief.unproved == []
    assert thief.tries > 0
