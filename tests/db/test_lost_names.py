"""The name of a shard that the ledger has and the output has not is not given to other rows."""

from datetime import timedelta
from pathlib import Path

from des_core.reading.verify import Verdict, verify_shards
from des_core.reading.verify_tasks import list_tasks
from support.crash.lifetime import Life
from support.crash.truth import read_archive
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.cycle import run_cycle


def missing(archive: Archive) -> set[str]:
    report = verify_shards(
        archive.storage,
        archive.config,
        list_tasks(archive.storage, archive.config),
        on_verdict=lambda _: None,
        threads=1,
    )
    assert {finding.verdict for finding in report.findings} <= {Verdict.MISSING}
    return {finding.shard for finding in report.findings}


def check_missing(life: Life, expected: set[str]) -> None:
    def act(archive: Archive) -> None:
        assert missing(archive) == expected

    life.do(act)


def test_a_day_that_was_begun_by_the_window_before_it(
    database: TestDatabase, tmp_path: Path
) -> None:
    """A row of midnight belongs to the window that ends there, and to the day that begins there."""
    life = Life(database, tmp_path)
    life.insert(0, timedelta(hours=1), 40, archived=True)
    for _ in range(40):
        life.insert(2, timedelta(0), 40)
    life.up()
    life.set_target(2)
    life.do(run_cycle)
    first = {path.name: path.read_bytes() for path in life.output.glob("*.des")}
    assert first
    for name in first:
        (life.output / name).unlink()
    for _ in range(40):
        life.insert(2, timedelta(hours=12), 40)
    # One shard of the ledger's newest must be there, else nobody packs.
    kept = min(first)
    (life.output / kept).write_bytes(first[kept])
    life.set_target(3)
    life.do(run_cycle)
    assert {path.name for path in life.output.glob("*.des")} & set(first) == {kept}
    check_missing(life, set(first) - {kept})
    for name, content in first.items():
        (life.output / name).write_bytes(content)
    check_missing(life, set())
    assert all(found == [life.rows[uid].digest] for uid, found in read_archive(life.output).items())
    life.check()


def test_the_window_that_has_all_its_rows_packs_it_again(
    database: TestDatabase, tmp_path: Path
) -> None:
    life = Life(database, tmp_path)
    for day in range(4):
        for _ in range(8):
            life.insert(day, timedelta(hours=12), 40, archived=day < 1)
    life.up()
    life.set_target(4)
    life.do(run_cycle)
    before = {path.name: path.read_bytes() for path in life.output.glob("*.des")}
    lost = sorted(before)[-2:]
    for name in lost:
        (life.output / name).unlink()
    check_missing(life, set(lost))
    life.do(lambda archive: life.move(archive, life.first_day + timedelta(days=1)))
    life.do(run_cycle)
    assert {path.name: path.read_bytes() for path in life.output.glob("*.des")} == before
    check_missing(life, set())
