"""The lease is stolen before each transaction of each job: nothing is written, and exit code 11.

And nobody can steal it between the proof in a transaction and its commit.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.command import downgrade as downgrade_by_alembic
from alembic.command import upgrade as upgrade_by_alembic
from alembic.util import CommandError

from des_core.basics.errors import DesError, ExitCode
from des_core.ledger.archive_identity import adopt_output
from des_core.ledger.exception_edits import ExceptionFilter, execute_resolve, plan_resolve
from des_core.ledger.watermark_edits import (
    execute_lag,
    execute_move,
    plan_adoption,
    plan_lag,
    plan_move,
)
from des_core.locks import lock
from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import MigrationOptions
from des_core.migration.compliance import sync_flags
from des_core.migration.environment import ACTOR, SETTINGS
from des_core.migration.operations.versions import alembic_config
from des_core.reading.ledger_rebuild import execute_rebuild, plan_rebuild
from des_core.reading.verify import verify_shards
from des_core.reading.verify_tasks import list_tasks
from support.crash.lifetime import Life
from support.crash.thief import LateThief, Thief
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import Archive, open_archive
from watermark_orchestrator.cycle import run_cycle
from watermark_orchestrator.rechecking import accept_gone, look_for_late
from watermark_orchestrator.repair import repair_now

DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
MORE_THAN_ANY = 80


@dataclass(frozen=True)
class Job:
    """`arrange` makes something to do; `act` does it, and may be called again.

    `purposes` are those of the leases that it takes, as `lock show` prints them.
    """

    arrange: Callable[[Life], None]
    act: Callable[[Life], None]
    purposes: tuple[str, ...]


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


def shared_out(life: Life) -> None:
    """Among three workers, of whom one has packed."""
    cut_over(life)
    work_as_one_of(3, life)


def work_as_one_of(workers: int, life: Life) -> None:
    shared = {"shards_total": workers, "shard_id": 0}
    database = life.settings.database.model_copy(update=shared)
    with open_archive(life.settings.model_copy(update={"database": database})) as archive:
        run_cycle(archive)


def moved_by_sql(life: Life) -> None:
    packed(life)
    zone = "+00" if life.database.kind == "postgres" else ""
    life.database.execute(
        f"UPDATE des_archive_config SET archived_until = '2024-01-02 00:00:00{zone}'"
    )


def adopt(archive: Archive) -> None:
    plan = plan_adoption(archive.config, archive.source, forget=True, max_captured=1000)
    execute_move(
        archive.config, archive.source, plan, action="adopt", actor="tests", reason="meant"
    )


def with_another_output(life: Life) -> None:
    """The ledger does not know whose the output is."""
    packed(life)
    life.database.execute("DELETE FROM des_archive_job WHERE name = 'archive'")


def take_output(archive: Archive) -> None:
    adopt_output(archive.config, archive.storage, actor="tests", reason="moved here")


def with_gone_rows(life: Life) -> None:
    packed(life)
    life.database.execute("DELETE FROM files WHERE uid = :uid", {"uid": sorted(life.rows)[-1]})


def take_for_gone(archive: Archive) -> None:
    accept_gone(archive, look_for_late(archive), actor="tests", reason="meant")


def alembic(direction: str, revision: str) -> Callable[[Life], None]:
    """In this process, as `des-admin migrate alembic` runs it."""
    command = {"upgrade": upgrade_by_alembic, "downgrade": downgrade_by_alembic}[direction]

    def act(life: Life) -> None:
        config = alembic_config()
        config.stdout = io.StringIO()
        config.attributes |= {SETTINGS: lambda: life.settings, ACTOR: "tests"}
        try:
            command(config, revision)
        except CommandError as exc:
            raise exc.__cause__ or exc from None

    return act


JOBS = {
    "cycle": Job(cut_over, on_archive(run_cycle), ("run",)),
    "static worker": Job(cut_over, partial(work_as_one_of, 2), ("run worker",)),
    "another layout": Job(shared_out, partial(work_as_one_of, 2), ("run worker", "workers begin")),
    "late rows in a cycle": Job(with_late_row, on_archive(run_cycle), ("run",)),
    "retry": Job(mended, lambda life: life.do(life.retry), ("exceptions retry",)),
    "reconcile": Job(with_late_row, lambda life: life.do(life.reconcile), ("reconcile",)),
    "repair": Job(damaged, on_archive(repair), ("verify --repair",)),
    "deletion": Job(packed, lambda life: life.do(life.delete_sources), ("sources delete",)),
    "move": Job(packed, rewind, ("watermark set",)),
    "lag": Job(packed, on_archive(change_lag), ("watermark lag",)),
    "resolve": Job(packed_but_one, on_archive(resolve), ("exceptions resolve",)),
    "rebuild": Job(without_ledger, on_archive(rebuild), ("ledger rebuild",)),
    "up": Job(nothing, lambda life: upgrade(life.settings), ("migrate up",)),
    "drop": Job(packed, lambda life: upgrade(life.settings, options=DROP), ("migrate up",)),
    "down": Job(packed, lambda life: downgrade(life.settings), ("migrate down",)),
    "down after the drop": Job(dropped, lambda life: downgrade(life.settings), ("migrate down",)),
    "compliance": Job(packed, lambda life: sync_flags(life.settings), ("compliance sync",)),
    "adopt": Job(moved_by_sql, on_archive(adopt), ("watermark adopt",)),
    "output": Job(with_another_output, on_archive(take_output), ("ledger output",)),
    "gone rows": Job(with_gone_rows, on_archive(take_for_gone), ("reconcile",)),
    "alembic up": Job(nothing, alembic("upgrade", "0003_watermark"), ("alembic",)),
    "alembic down": Job(packed, alembic("downgrade", "0001_ledger"), ("alembic",)),
    "per record": Job(nothing, lambda life: life.pack_per_record(), ("per-record packing",)),
}


@pytest.fixture
def life(database: TestDatabase, tmp_path: Path) -> Life:
    """Six days of three rows each, the first two of them archived before."""
    life = Life(database, tmp_path)
    for day in range(6):
        for moment in (timedelta(0), timedelta(hours=7), timedelta(hours=23)):
            life.insert(day, moment, 40 * day, archived=day < 2)
    return life


def names_by_table(found: Mapping[Any, Iterable[Any]]) -> dict[str, list[str]]:
    return {table: [str(part["name"]) for part in parts] for (_, table), parts in found.items()}


def snapshot(life: Life) -> dict[str, Any]:
    """Everything that a job may change, but for the leases themselves."""
    with life.database.session() as session:
        inspector = sa.inspect(session)
        tables = set(inspector.get_table_names()) - {"des_archive_lease"}
        columns = names_by_table(inspector.get_multi_columns())
        indexes = names_by_table(inspector.get_multi_indexes())
        rows = {
            table: sorted(map(repr, session.exec_driver_sql(f"SELECT * FROM {table}")))
            for table in tables
        }
    return {
        "shape": {table: (columns[table], sorted(indexes[table])) for table in tables},
        "rows": rows,
        "sources": sorted(path.name for path in life.sources.iterdir()),
        "watched": sorted(
            path.name for path in life.output.rglob("*.des") if "_damaged" in str(path)
        ),
    }


@contextmanager
def taken() -> Iterator[set[str]]:
    """The purposes of the leases that are taken in the block."""
    real, purposes = lock._take, set()

    def take(config: Any, lease: Any, wait_s: float) -> Any:
        purposes.add(lease.purpose)
        return real(config, lease, wait_s)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "_take", take)
        yield purposes


TAKERS = {"hold_lock", "hold_worker_lock", "holding", "open_run", "open_writer"}
PACKAGES = ("runner/des_core", "runner/watermark_orchestrator", "des_admin")
# Transactions that prove no lease, and why none is wanted.
WITHOUT_A_LEASE = {
    "des_core/database/connections.py": "the methods themselves",
    "des_core/locks/": "the leases themselves",
    "des_core/metrics/journal.py": "the trail, which serialises by a row of its own",
    "des_core/ledger/outcomes.py": "how jobs ended, also those that were refused",
    "des_core/ledger/damage.py": "what verify found: names of shards",
    "des_core/reading/verify_tasks.py": "when a shard was last read, and that it is sound again",
    "des_core/ledger/jobs.py": "pause and resume, which the holder of the lease reads",
    "des_core/ledger/lock_edits.py": "`lock break` takes a lease away",
    "des_core/backup/": "what was saved, and the databases of a restore drill",
    "des_core/rehearsal/": "a scratch database",
    "des_admin/demo/": "a file of the demonstration",
    "des_core/migration/environment.py": "reads where Alembic is",
    "des_core/migration/steps/patience.py": "CREATE INDEX CONCURRENTLY, which takes no transaction",
}


def calls_in_source() -> Iterator[tuple[Path, ast.Call, str]]:
    root = Path(__file__).parents[2]
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    yield path.relative_to(root), node, str(name)


def first_words(node: ast.expr) -> Iterator[str]:
    """The text of a literal, or what an f-string begins with."""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value.strip()


def test_every_lease_that_is_taken_belongs_to_a_job() -> None:
    found = {
        words
        for _path, call, name in calls_in_source()
        if name in TAKERS
        for argument in call.args
        for words in first_words(argument)
    }
    known = {purpose for job in JOBS.values() for purpose in job.purposes}
    assert len(found) > 12
    for words in found:
        assert any(purpose.startswith(words) for purpose in known), words


def test_who_writes_without_a_lease_is_listed() -> None:
    writers = {"write", "transact", "autocommit"}
    found = {
        path.as_posix().removeprefix("runner/")
        for path, call, name in calls_in_source()
        if name in writers and is_database(call)
    }
    unlisted = [path for path in found if not path.startswith(tuple(WITHOUT_A_LEASE))]
    assert unlisted == []
    for listed in WITHOUT_A_LEASE:
        assert any(path.startswith(listed) for path in found), f"{listed} writes nothing any more"


def is_database(call: ast.Call) -> bool:
    """Not `lock.write(work)` and not a file's: a Database's method, by how it is called."""
    if not isinstance(call.func, ast.Attribute):
        return False
    return call.func.attr == "transact" or not call.args


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", JOBS)
def test_stolen_before_each_transaction(name: str, life: Life) -> None:
    job = JOBS[name]
    job.arrange(life)
    thefts = 0
    purposes: set[str] = set()
    for spare in range(MORE_THAN_ANY):
        thief = Thief(life.database, spare)
        seen: list[dict[str, Any]] = []
        error: DesError | None = None
        with thief.at_work(lambda seen=seen: seen.append(snapshot(life))), taken() as held:
            try:
                job.act(life)
            except DesError as caught:
                error = caught
        purposes |= held
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
    assert {purpose.rstrip(" /0123456789") for purpose in purposes} == set(job.purposes)
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
