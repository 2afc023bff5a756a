"""`plan compression` says what a run then does, and writes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Archive, Program
from des_core.settings.config_file import load_settings
from support.crash.truth import archive_bytes
from support.program.archive import adopt_move, make_settings
from support.program.scale import run_alone
from support.rows.documents import add_documents
from support.rows.filesdata import canonical_rows
from support.servers.database import TestDatabase

BACK = "UPDATE des_archive_config SET archived_until = '2023-12-30 00:00:00'"


def ways(program: Program, *options: str) -> dict[tuple[int | None, bool], dict[str, Any]]:
    plan = program("plan", "compression", "--output", "json", *options).json["plan"]
    return {(way["level"], way["dictionary"]): way for way in plan["ways"]}


def test_nothing_is_written(archive: Archive, program: Program) -> None:
    add_documents(archive.table, days=10, a_day=120)
    rows, events = canonical_rows(archive.source), archive.events()
    before = archive_bytes(archive.project)
    found = ways(program, "--price-tb-month", "23")
    assert len(found) == 13
    assert any(way["is_best"] for way in found.values())
    assert found[None, False]["ratio"] == 1
    assert found[19, False]["pending_bytes"] < found[1, False]["pending_bytes"]
    assert found[3, True]["pending_bytes"] < found[3, False]["pending_bytes"]
    for way in found.values():
        assert way["price_pending"] == pytest.approx(way["pending_bytes"] * 23e-12)
    assert (canonical_rows(archive.source), archive.events()) == (rows, events)
    after = archive_bytes(archive.project)
    assert {name for name in after if not name.endswith((".db-wal", ".db-shm"))} <= set(before)


def test_the_same_seed_tries_the_same(sqlite_archive: Archive, program: Program) -> None:
    add_documents(sqlite_archive.table, days=10, a_day=20)

    def sizes(*options: str) -> list[int]:
        return [way["pending_bytes"] for way in ways(program, *options).values()]

    assert sizes("--seed", "7") == sizes("--seed", "7")


@pytest.mark.parametrize("a_day", [150, 2300])
def test_a_run_takes_what_was_predicted(
    sqlite_archive: Archive, program: Program, tmp_path: Path, a_day: int
) -> None:
    """Within 10 %: small days, which are tried whole, and large ones, of which a part is."""
    archive = sqlite_archive
    add_documents(archive.table, days=2, a_day=a_day)
    archive.source.execute("DELETE FROM files WHERE created_at >= '2024-01-03'")
    archive.config.execute(BACK)
    settings = load_settings(archive.project / "des-admin.yaml", env={}).settings
    adopt_move(settings)
    found = ways(program)
    for dictionary in (False, True):
        for table in ("des_archive_shard", "des_archive_slice", "des_archive_job"):
            archive.config.execute(f"DELETE FROM {table}")
        archive.config.execute(BACK)
        out = tmp_path / str(dictionary)
        packer = {"n_bits": 4, "workers": 1, "compression": {"dictionary": dictionary}}
        packed = make_settings(archive.source, out, archive.config, packer=packer)
        adopt_move(packed)
        assert run_alone(packed).files_failed == 0
        taken = sum(path.stat().st_size for path in out.glob("*.des"))
        taken += sum(path.stat().st_size for path in out.glob("_dictionaries/*"))
        assert found[3, dictionary]["pending_bytes"] == pytest.approx(taken, rel=0.1)


def test_shards_take_their_time(sqlite_archive: Archive, program: Program) -> None:
    """Few files in many buckets: their shards take longer than they do (`bench_plan` has more)."""
    add_documents(sqlite_archive.table, days=10, a_day=120)
    config = sqlite_archive.project / "des-admin.yaml"

    def plan(n_bits: int) -> tuple[int, float]:
        config.write_text(config.read_text().replace("n_bits: 4", f"n_bits: {n_bits}"))
        plan = program("plan", "compression", "--output", "json", "--cores", "1").json["plan"]
        return plan["pending"]["files"], plan["ways"][0]["pending_s"]

    (files, few), (_, many) = plan(4), plan(12)
    assert files > 400
    assert many - few > 0.0003 * files


def test_where_nothing_can_be_tried_it_says_why(
    program: Program, sqlite_archive: Archive, make_database: Callable[[str], TestDatabase]
) -> None:
    for row in sqlite_archive.table.rows.values():
        Path(row.location).unlink(missing_ok=True)
    done = program("plan", "compression", expect=4)
    assert "no pending file" in done.err
    done = program("plan", "compression", "--output", "json", expect=4)
    assert int(done.error["facts"]["unreadable"]) > 0


def test_before_the_migration_all_rows_are_pending(
    configured: TestDatabase, files_table: Callable[..., Any], program: Program
) -> None:
    table = files_table(configured, rows=60, days=3)
    add_documents(table, days=3, a_day=30)
    done = program("plan", "compression", "--output", "json")
    assert done.json["plan"]["pending"]["files"] == 150
    drawn = program("plan", "compression").out
    assert "zstd 3, dictionary" in drawn
    assert "best" in drawn


def test_without_a_size_column_big_files_count(sqlite_archive: Archive, program: Program) -> None:
    archive = sqlite_archive
    config = archive.project / "des-admin.yaml"
    text = config.read_text().replace("database:\n", "database:\n  size_column: null\n", 1)
    config.write_text(text.replace("n_bits: 4", "n_bits: 4\n  big_file_threshold: 10000"))
    moment = max(row.created_at for row in archive.table.rows.values())
    for number in range(3):
        archive.table.add(f"big-{number}", moment, bytes(1_000_000))
    found = ways(program)
    assert found[3, False]["pending_bytes"] > 3_000_000


LOAD = ("plan", "capacity", "--files-per-day", "1000", "--mean-size", "1000")


@pytest.mark.parametrize(
    "line",
    [
        ("plan", "compression", "--price-tb-month", "nan"),
        ("plan", "compression", "--file-us", "inf"),
        (*LOAD, "--ratio", "nan"),
        (*LOAD, "--latency-ms", "inf"),
        (*LOAD, "--rows-per-s", "nan"),
        (*LOAD, "--pending", "1" + "0" * 400),
        (*LOAD[:-1], "1" + "0" * 400),
    ],
    ids=lambda line: " ".join(line)[:40],
)
def test_numbers_that_nobody_can_reckon_with_are_refused(
    sqlite_archive: Archive, program: Program, line: tuple[str, ...]
) -> None:
    assert line[-2] in program(*line, "--output", "json", expect=2).error["message"]
