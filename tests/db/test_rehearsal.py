"""A rehearsal goes there and back on a copy, changes nothing of the original, leaves nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest

from des_core.backup.identity import open_target
from des_core.basics.errors import Refused, WrongSchema
from des_core.migration import plan as plan_module
from des_core.migration.apply import upgrade
from des_core.migration.base.migration import MigrationOptions
from des_core.rehearsal import sample as sample_module
from des_core.rehearsal import scratch as scratch_module
from support.program.archive import make_settings
from support.program.inside import run_here
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.rows.partitioned import partition_files
from support.rows.shape import AWKWARD
from support.servers.database import TestDatabase
from watermark_orchestrator import rehearsal
from watermark_orchestrator.rehearsal import rehearse

ACTS = ["copy", "up", "run", "formula", "drop archived", "down", "compare", "clean up"]


def left_behind(database: TestDatabase) -> set[str]:
    """Scratch databases and directories of rehearsals."""
    if database.kind == "sqlite":
        return {path.name for path in Path(gettempdir()).glob("des_rehearsal_*")}
    queries = {
        "postgres": "SELECT datname FROM pg_database",
        "mysql": "SELECT schema_name FROM information_schema.schemata",
    }
    names = {str(name) for (name,) in database.rows(queries[database.kind])}
    return {name for name in names if name.startswith("des_rehearsal_")}


def state(database: TestDatabase, output: Path) -> Any:
    return canonical_rows(database), database.table_names(), sorted(output.iterdir())


def test_it_goes_there_and_back_and_leaves_nothing(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 300, days=20, archived_days=12, holes=8, ties=4, bad={"missing": 2})
    settings = make_settings(database, tmp_path / "out")
    before, scratch = state(database, tmp_path / "out"), left_behind(database)
    acts = list(rehearse(settings, rows_per_day=50))
    assert [act.name for act in acts] == ACTS
    assert [act.problem for act in acts] == [None] * len(ACTS)
    assert "of 7 days" in acts[0].detail
    assert "0 files packed" not in acts[2].detail
    assert state(database, tmp_path / "out") == before
    assert left_behind(database) == scratch


def test_it_cleans_up_after_a_failure(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files_table(database, 60, days=6, archived_days=3, files=False)
    # Nothing that waits can be read: the cycle stops, as it would on the day itself.
    strict = {"max_failures": 0, "max_failure_ratio": 0.01}
    settings = make_settings(database, tmp_path / "out", migration=strict)
    before, scratch = state(database, tmp_path / "out"), left_behind(database)
    acts = list(rehearse(settings))
    assert [act.name for act in acts] == ["copy", "up", "run", "clean up"]
    assert acts[2].problem
    monkeypatch.setattr(rehearsal, "read_all", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(rehearse(settings))
    assert state(database, tmp_path / "out") == before
    assert left_behind(database) == scratch


def test_it_tells_when_a_row_came_back_different(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files_table(database, 60, days=6, archived_days=3)
    settings = make_settings(database, tmp_path / "out")
    genuine = rehearsal.downgrade

    def lossy(settings: Any) -> Any:
        report = genuine(settings)
        copy = open_target(settings.source_url).database
        with copy.write() as tx:
            tx.connection.exec_driver_sql("UPDATE files SET size_bytes = 1 WHERE size_bytes <> 1")
        copy.close()
        return report

    monkeypatch.setattr(rehearsal, "downgrade", lossy)
    acts = {act.name: act for act in rehearse(settings)}
    assert "of 60 rows are not what they should be" in acts["compare"].detail


def test_strange_names_and_columns_of_ones_own(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    shape = replace(AWKWARD, index="idx_files_created_archived")
    files_table(database, 60, days=6, archived_days=3, shape=shape)
    table, size = shape.qualified(database), database.quote(shape.size_bytes or "")
    kind = {"postgres": "jsonb", "mysql": "JSON", "sqlite": "TEXT"}[database.kind]
    stored = "VIRTUAL" if database.kind == "sqlite" else "STORED"
    database.execute(f"ALTER TABLE {table} ADD COLUMN more {kind}")
    database.execute(f"UPDATE {table} SET more = '[1, {{\"a\": null}}]'")
    database.execute(
        f"ALTER TABLE {table} ADD COLUMN doubled BIGINT GENERATED ALWAYS AS ({size} * 2) {stored}"
    )
    settings = make_settings(database, tmp_path / "out", database=shape.settings())
    settings = settings.model_copy(
        update={"database": settings.database.model_copy(update={"url": settings.database.url})}
    )
    acts = list(rehearse(settings))
    assert [(act.name, act.problem) for act in acts] == [(name, None) for name in ACTS]


@pytest.mark.postgres
def test_partitions_are_rehearsed_as_partitions(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> None:
    database = make_database("postgres")
    files_table(database, 80, days=8, archived_days=4, holes=3)
    partition_files(database, 8)
    acts = list(rehearse(make_settings(database, tmp_path / "out")))
    assert [(act.name, act.problem) for act in acts] == [(name, None) for name in ACTS]


@pytest.mark.postgres
def test_a_big_table_without_an_index_gives_random_blocks(
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = make_database("postgres")
    files_table(database, 2000, days=8, archived_days=4, holes=3, files=False)
    database.execute("DROP INDEX idx_files_created_archived")
    database.execute("ANALYZE files")
    monkeypatch.setattr(sample_module, "MOST_ROWS_TO_SCAN", 100)
    monkeypatch.setattr(plan_module, "MOST_ROWS_TO_SCAN", 100)
    acts = list(rehearse(make_settings(database, tmp_path / "out"), rows_per_day=20))
    assert "of blocks chosen at random" in acts[0].detail


def test_without_the_column_or_rows_there_is_nothing_to_rehearse(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 0)
    settings = make_settings(database, tmp_path / "out")
    scratch = left_behind(database)
    with pytest.raises(Refused, match="no rows"):
        list(rehearse(settings))
    upgrade(settings, options=MigrationOptions(drop_archived=True, backup="dump"))
    with pytest.raises(WrongSchema, match="gone already"):
        list(rehearse(settings))
    assert left_behind(database) == scratch


@pytest.mark.parametrize("server", ["postgres", "mariadb", "mysql"])
def test_what_a_kill_left_behind_goes_a_day_later(
    make_database: Callable[[str], TestDatabase], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = make_database(server)
    source = open_target(database.url)
    context = scratch_module.scratch_database(source)
    context.__enter__().database.close()
    assert scratch_module.remove_leftovers(source) == []
    monkeypatch.setattr(scratch_module, "LEFT_BEHIND_S", -1)
    assert len(scratch_module.remove_leftovers(source)) == 1
    assert not left_behind(database)
    context.__exit__(None, None, None)
    source.database.close()


def test_the_command(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 60, days=6, archived_days=3)
    (tmp_path / "out").mkdir()
    config = tmp_path / "config.yaml"
    config.write_text(
        f"database:\n  url: '{database.url}'\npacker:\n  output_dir: '{tmp_path / 'out'}'\n"
        "  source_roots: ['/']\n"
    )
    done = run_here(
        "--config", str(config), "doctor", "--all", "--rehearse", "--rehearse-rows", "9"
    )
    lines = [line for line in done.stdout.splitlines() if "rehearse:" in line]
    assert len(lines) == len(ACTS)
    assert "54 rows as before" in done.stdout


def _interrupted(_migration: Any) -> Any:
    raise KeyboardInterrupt
