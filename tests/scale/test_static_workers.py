"""Static workers on real databases: one archive, whoever packs which part of it, and when."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from des_core.basics.errors import ConfigError, FenceLost, LockHeld, Refused, UsageError
from des_core.ledger.watermark import read_watermark
from des_core.ledger.watermark_edits import execute_move, plan_move
from des_core.ledger.workers import claim_worker
from des_core.locks.lock import hold_lock
from des_core.rows.share import Share
from des_core.settings.config_file import load_settings
from support.crash.truth import (
    archive_bytes,
    check_truth,
    read_open_exceptions,
    read_watermark_value,
)
from support.program.archive import adopt_move, make_archive
from support.program.runner import write_config
from support.program.scale import as_worker, check_workers, run_alone, run_worker, shards_only
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import plan_cycle, retry_now, run_cycle
from watermark_orchestrator.progress_events import ProgressEvent
from watermark_orchestrator.reporting import describe_plan
from watermark_orchestrator.retrying import Selection

PACKER = {"n_bits": 5, "max_shard_size": 1 << 16, "big_file_threshold": 4000}
BACK = "UPDATE des_archive_config SET archived_until = '2023-12-30 00:00:00'"


@pytest.mark.parametrize("shards_total", [3])
def test_workers_make_the_archive_that_one_runner_makes(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, shards_total: int
) -> None:
    table = files_table(database, rows=400, days=4, max_size=4096, ties=3)
    settings = make_archive(database, tmp_path / "out", packer=PACKER)
    seeded = read_watermark_value(database)
    reports = []
    for shard_id in range(shards_total):
        assert read_watermark_value(database) == seeded
        reports.append(run_worker(settings, shard_id, shards_total))
        check_workers(database, shards_total)
        check_truth(table, database, tmp_path / "out")
    assert sum(report.files_out for report in reports) == 400
    assert all(report.files_out > 400 / shards_total / 2 for report in reports)
    assert check_truth(table, database, tmp_path / "out") == {}
    assert read_watermark_value(database) == reports[-1].watermark == reports[0].packed_until

    database.execute("DELETE FROM des_archive_shard")
    database.execute("DELETE FROM des_archive_slice")
    database.execute("DELETE FROM des_archive_job")  # also which output is the archive's
    database.execute(BACK)
    alone = make_archive(database, tmp_path / "alone", packer=PACKER)
    assert run_alone(alone).files_out == 400
    by_workers, by_one = (archive_bytes(tmp_path / name) for name in ("out", "alone"))
    assert len(shards_only(by_one)) > 100
    assert shards_only(by_workers) == shards_only(by_one)


def test_exceptions_wait_for_the_watermark(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=300, days=3, bad={"missing": 9, "directory": 6})
    settings = make_archive(database, tmp_path / "out")
    first = run_worker(settings, 0, 2)
    assert first.files_failed > 0
    assert read_open_exceptions(database) == {}, "above the watermark they would read as archived"
    check_truth(table, database, tmp_path / "out")
    second = run_worker(settings, 1, 2)
    assert first.files_failed + second.files_failed == 15
    reasons = check_truth(table, database, tmp_path / "out")
    assert set(reasons) == set(table.bad)
    chain = database.rows("SELECT action FROM des_archive_event ORDER BY event_id")
    assert chain.count(("workers begin",)) == 1
    assert chain.count(("cycle",)) == second.slices, "the last worker moved it, slice by slice"


def test_rows_that_came_late_while_another_worker_was_away_are_found(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Late for a worker far ahead of the watermark, which then passes them by all at once."""
    table = files_table(database, rows=60, days=6)
    settings = make_archive(database, tmp_path / "out")
    late = [row for row in table.rows.values() if Share(0, 2, 4).owns_uid(row.uid)][5:9]
    columns = "uid, created_at, file_location, size_bytes"
    database.execute("CREATE TABLE kept AS SELECT * FROM files")
    for row in late:
        database.execute(f"DELETE FROM files WHERE uid = '{row.uid}'")
    run_worker(settings, 0, 2)
    for row in late:
        database.execute(
            f"INSERT INTO files ({columns}) SELECT {columns} FROM kept WHERE uid = '{row.uid}'"
        )
    run_worker(settings, 1, 2)
    found = run_worker(settings, 0, 2)
    assert (found.late, found.retried.packed) == (4, 4)
    assert check_truth(table, database, tmp_path / "out") == {}
    again = run_worker(settings, 0, 2)
    assert (again.late, again.files_in) == (0, 0)


def test_a_replay_forgets_what_was_held_back(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=200, days=2, bad={"missing": 6})
    settings = make_archive(database, tmp_path / "out")
    run_worker(settings, 0, 2)
    for uid in table.bad:
        Path(table.rows[uid].location).write_bytes(table.expected_content(uid))
    for shard_id in range(3):
        run_worker(settings, shard_id, 3)
    assert check_truth(table, database, tmp_path / "out") == {}


@pytest.mark.parametrize("next_total", [1, 3, 4])
def test_another_number_of_workers_goes_on_from_the_watermark(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, next_total: int
) -> None:
    table = files_table(database, rows=300, days=3, bad={"missing": 4})
    settings = make_archive(database, tmp_path / "out", packer=PACKER)
    seeded = read_watermark_value(database)
    ahead = [run_worker(settings, shard_id, 4) for shard_id in (0, 2)]
    assert read_watermark_value(database) == seeded
    before = archive_bytes(tmp_path / "out")
    reports = [
        run_worker(settings, shard_id, next_total) if next_total > 1 else run_alone(settings)
        for shard_id in range(next_total)
    ]
    found_again = sum(report.files_present for report in reports)
    if next_total == 4:
        assert found_again == 0, "nobody's progress was given up"
    else:
        assert found_again == sum(report.files_out for report in ahead)
        check = table.database.value(
            "SELECT COUNT(*) FROM des_archive_worker WHERE workers_total = 4"
        )
        assert check == 0
    after = archive_bytes(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    assert set(check_truth(table, database, tmp_path / "out")) == set(table.bad)


def test_other_buckets_are_refused_and_the_layout_stays(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=60, days=2)
    settings = make_archive(database, tmp_path / "out")
    run_worker(settings, 0, 3)
    packer = settings.packer.model_copy(update={"n_bits": 6})
    with pytest.raises(ConfigError, match="begun with 4"):
        run_worker(settings.model_copy(update={"packer": packer}), 1, 3)
    bits = database.rows("SELECT DISTINCT n_bits FROM des_archive_worker")
    assert bits == [(4,)]


def test_workers_stand_beside_each_other_and_beside_nobody_else(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("watermark_orchestrator.run.REGISTERING_S", 0.3)
    table = files_table(database, rows=60, days=2)
    settings = make_archive(database, tmp_path / "out")
    seen: list[str] = []

    def inside(event: ProgressEvent) -> None:
        if event.kind != "slice_started" or seen:
            return
        seen.append("here")
        run_worker(settings, 1, 2)
        with pytest.raises(LockHeld) as same:
            run_worker(settings, 0, 2)
        with pytest.raises(LockHeld) as other:
            run_worker(settings, 1, 3)
        with pytest.raises(LockHeld) as alone:
            run_alone(settings)
        assert {error.value.exit_code for error in (same, other, alone)} == {11}
        assert "stop all of them" in str(other.value.hint)
        assert "unknown" not in str(alone.value.facts["holder"])

    run_worker(settings, 0, 2, progress=inside)
    assert seen
    assert check_truth(table, database, tmp_path / "out") == {}
    with (
        open_archive(settings) as archive,
        hold_lock(archive.config, "edit"),
        pytest.raises(LockHeld) as error,
    ):
        run_worker(settings, 0, 2)
    assert error.value.exit_code == 11


def test_whoever_was_this_worker_before_commits_no_more(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=60, days=3)
    settings = make_archive(database, tmp_path / "out")

    def another_claims(event: ProgressEvent) -> None:
        if event.kind == "files_packed":
            with open_archive(settings) as archive:
                claim = partial(claim_worker, share=Share(0, 2, 4), actor="test")
                archive.config.transact(partial(claim, now=datetime.now(UTC)))

    with pytest.raises(FenceLost) as error:
        run_worker(settings, 0, 2, progress=another_claims)
    assert error.value.exit_code == 11
    assert database.value("SELECT COUNT(*) FROM des_archive_slice") == 0
    for shard_id in range(2):
        run_worker(settings, shard_id, 2)
    assert check_truth(table, database, tmp_path / "out") == {}


@pytest.mark.parametrize("moved_to", ["2023-12-30 00:00:00", "2024-01-02 12:00:00"])
def test_an_operators_own_sql_is_noticed(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, moved_to: str
) -> None:
    table = files_table(database, rows=120, days=4, bad={"missing": 8})
    settings = make_archive(database, tmp_path / "out")
    run_worker(settings, 0, 2)
    move = f"UPDATE des_archive_config SET archived_until = '{moved_to}'"

    def meddle(event: ProgressEvent) -> None:
        if event.kind == "files_packed":
            database.execute(move)

    with pytest.raises(FenceLost):
        run_worker(settings, 1, 2, progress=meddle)
    if moved_to > "2024":
        moved = read_watermark_value(database)
        with pytest.raises(Refused, match="moved forward by SQL"):
            run_worker(settings, 0, 2)
        adopt_move(settings, forget=False)
    for shard_id in range(2):
        run_worker(settings, shard_id, 2)
    check_workers(database, 2)
    reasons = read_open_exceptions(database)
    if moved_to < "2024":
        assert set(check_truth(table, database, tmp_path / "out")) == set(table.bad)
    else:
        skipped = {uid for uid, row in table.rows.items() if row.created_at <= moved}
        assert set(table.bad) & skipped
        assert set(reasons) == set(table.bad) | skipped


def test_edits_by_command_and_retries_take_the_archive_for_themselves(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=120, days=4, bad={"missing": 8})
    settings = make_archive(database, tmp_path / "out")
    for shard_id in (0, 1, 0):
        run_worker(settings, shard_id, 2)
    with open_archive(settings) as archive:
        plan = plan_move(
            archive.config, archive.source, datetime(2024, 1, 2, tzinfo=UTC), max_captured=1000
        )
        execute_move(
            archive.config, archive.source, plan, action="rewind", actor="test", reason=None
        )
    for shard_id in (1, 0):
        run_worker(settings, shard_id, 2)
    assert set(check_truth(table, database, tmp_path / "out")) == set(table.bad)
    for uid in table.bad:
        Path(table.rows[uid].location).write_bytes(table.expected_content(uid))
    with open_archive(as_worker(settings, 0, 2)) as archive:
        assert retry_now(archive, Selection()).packed == 8
    assert check_truth(table, database, tmp_path / "out") == {}
    assert run_worker(settings, 0, 2).files_in == 0


def test_each_worker_retries_its_own(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=90, days=3, archived_days=2, holes=20)
    settings = make_archive(database, tmp_path / "out")
    reports = [run_worker(settings, shard_id, 2) for shard_id in range(2)]
    assert sum(report.retried.packed for report in reports) == 20
    assert all(report.retried.packed for report in reports)
    assert check_truth(table, database, tmp_path / "out") == {}


def test_the_plan_names_the_share_and_what_reading_costs(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=90, days=3)
    settings = make_archive(database, tmp_path / "out")
    with open_archive(as_worker(settings, 1, 3)) as archive:
        plan = plan_cycle(archive)
        text = describe_plan(plan)
        assert "worker:   1/3; packs about one in 3" in text
        assert ("every worker reads" in text) == (plan.filtering != "in_database")
        assert database.value("SELECT COUNT(*) FROM des_archive_worker") == 0
        report = run_cycle(archive)
    assert plan.window == report.window
    with open_archive(as_worker(settings, 1, 3)) as archive:
        assert plan_cycle(archive).window.is_empty
        with archive.config.read() as tx:
            watermark = read_watermark(tx)
    assert watermark.archived_until == plan.window.start


def test_the_index_comes_from_flag_environment_or_file(tmp_path: Path, make_database: Any) -> None:
    settings = make_archive_settings(make_database("sqlite"), tmp_path)
    config = write_config(as_worker(settings, 1, 4), tmp_path / "c.yaml")

    def loaded(env: dict[str, str], **flags: object) -> tuple[int | None, str | None]:
        found = load_settings(config, env=env, overrides=flags)
        return found.settings.database.shard_id, found.origins.get("database.shard_id")

    assert loaded({}) == (1, str(config))
    job = {"JOB_COMPLETION_INDEX": "2"}
    assert loaded(job) == (2, "JOB_COMPLETION_INDEX")
    assert loaded(job, **{"database.shard_id": 3}) == (3, "flag")
    assert loaded({**job, "DES_ADMIN__DATABASE__SHARD_ID": "0"}) == (0, "environment")
    assert loaded(job, **{"database.shards_total": 1, "database.shard_id": 0}) == (0, "flag")
    with pytest.raises(ConfigError, match="shard_id must be below shards_total"):
        loaded({"JOB_COMPLETION_INDEX": "4"})


def make_archive_settings(database: TestDatabase, tmp_path: Path) -> Any:
    from support.program.archive import make_settings

    return make_settings(database, tmp_path / "out")


def test_what_cannot_be_a_worker_is_refused(
    files_table: FilesTableFactory, make_database: Any, tmp_path: Path
) -> None:
    database = make_database("sqlite")
    files_table(database, rows=5, days=1)
    settings = make_archive(database, tmp_path / "out")
    nobody = settings.database.model_copy(update={"shards_total": 2})
    with (
        open_archive(settings.model_copy(update={"database": nobody})) as archive,
        pytest.raises(ConfigError, match="no index"),
    ):
        run_cycle(archive)
    with pytest.raises(UsageError, match="more workers than buckets"):
        run_worker(settings, 16, 17)
    deleting = settings.migration.model_copy(update={"delete_source_files": True})
    with pytest.raises(ConfigError, match="do not delete sources"):
        run_worker(settings.model_copy(update={"migration": deleting}), 0, 2)
