"""Every SQL block of the guide, read from the guide itself, beside the programs.

Somebody followed it by hand: the table, the drop of the column, the numbers, the moves of the
watermark, the way back. The blocks run as they stand there.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.conftest import Program, write_config
from db.test_guide_script import find_guide
from support.crash.truth import check_truth
from support.rows.filesdata import FilesTable, FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase

BLOCK = re.compile(r"^```sql\n(.*?)^```$", re.M | re.S)
HEREDOC = re.compile(r"^psql [^\n]*<<EOF\n(.*?)^EOF$", re.M | re.S)
# How each begins, in the order of the guide.
BEGINS = {
    "postgres": "-- PostgreSQL\nCREATE TABLE",
    "mysql": "-- MySQL",
    "sqlite": "-- SQLite",
    "drop": "-- PostgreSQL - Usunięcie",
    "keep": "-- Opcja bezpieczna",
    "progress": "-- 1. Aktualny watermark",
    "moves": "-- UWAGA",
    "back": "-- Dodaj kolumnę archived",
    "verify": "-- Sprawdź czy archived",
}


@pytest.fixture(scope="module")
def blocks() -> dict[str, list[str]]:
    """Name → statements, without comments."""
    guide = find_guide()
    if guide is None:
        pytest.skip("the guide is not beside this checkout")
    text = guide.read_text(encoding="utf-8")
    found = BLOCK.findall(text)
    named = {
        name: [block for block in found if block.startswith(begin)]
        for name, begin in BEGINS.items()
    }
    assert {name: len(each) for name, each in named.items()} == dict.fromkeys(BEGINS, 1)
    assert len(found) == len(BEGINS), "a block of the guide that no test runs"
    [counts] = HEREDOC.findall(text)
    return {"counts": statements(counts)} | {
        name: statements(block) for name, [block] in named.items()
    }


def statements(block: str) -> list[str]:
    plain = re.sub(r"--[^\n]*", "", block)
    return [each.strip() for each in plain.split(";") if each.strip()]


def test_the_hand_made_table_is_taken_over(
    blocks: dict[str, list[str]],
    project: Path,
    program: Program,
    database: TestDatabase,
    files_table: FilesTableFactory,
) -> None:
    """Step 2 on each server. SQLite's block begins thirty days ago, so the rows lie around that."""
    table = files_table(database, rows=60, days=6, archived_days=2, holes=2)
    for statement in blocks[database.kind]:
        database.execute(statement)
    write_config(project, database.url)
    by_hand = database.value("SELECT archived_until FROM des_archive_config")
    program("migrate", "up", "--yes")
    shown = program("watermark", "show", "--output", "json").json
    assert shown["lag_days"] == 7
    assert str(by_hand)[:10] in shown["archived_until"] or database.kind != "sqlite"
    program("run", expect=None)
    check_truth(table, database, project / "output")


@pytest.fixture
def by_hand(
    blocks: dict[str, list[str]],
    project: Path,
    program: Program,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
) -> tuple[TestDatabase, FilesTable]:
    """Counted, cut over and without its column by the guide's blocks, then taken over by us."""
    database = make_database("postgres")
    table = files_table(database, rows=60, days=6, archived_days=2)
    [[files, _, _, pending]] = database.rows(blocks["counts"][0])
    assert (files, pending) == (60, 40)
    for statement in (*blocks["postgres"], *blocks["drop"]):
        database.execute(statement)
    write_config(project, database.url)
    program("migrate", "up", "--yes")
    return database, table


@pytest.mark.postgres
def test_the_guide_by_hand_from_end_to_end(
    blocks: dict[str, list[str]],
    project: Path,
    program: Program,
    by_hand: tuple[TestDatabase, FilesTable],
) -> None:
    database, table = by_hand
    assert blocks["keep"] == []
    run = ("--config", "des-admin.yaml", "--mode", "single", "--verbose")
    program(*run, module="watermark_orchestrator.__main__")
    check_truth(table, database, project / "output")
    check_numbers(blocks["progress"], database, program)
    move_by_hand(blocks["moves"], database, program)
    check_truth(table, database, project / "output")
    program("migrate", "down", "--yes")
    [[flags, count]] = database.rows(blocks["verify"][0])
    assert (flags, count) == (True, 60)
    assert all(row[4] for row in canonical_rows(database))


def check_numbers(progress: list[str], database: TestDatabase, program: Program) -> None:
    """The guide's four questions, and what `progress` answers."""
    shown = program("progress", "--exact", "--output", "json").json
    [[_, lag_days, _, _]] = database.rows(progress[0])
    [[pending, *_]] = database.rows(progress[1])
    [[archived, size_bytes]] = database.rows(progress[2])
    days = database.rows(progress[3])
    assert (lag_days, pending) == (shown["lag_days"], shown["pending"]["files"])
    assert (archived, int(size_bytes)) == (
        shown["archived"]["files"],
        shown["archived"]["size_bytes"],
    )
    assert len(progress) == 4
    assert all(row[1] > 0 for row in days)


def move_by_hand(moves: list[str], database: TestDatabase, program: Program) -> None:
    """Back, forward, to a date, another lag: packed again, refused, named, taken."""
    back, forward, to_a_date, lag = moves
    known = program("watermark", "show", "--output", "json").json["archived_until"]
    database.execute(back)
    program("run")
    assert program("watermark", "show", "--output", "json").json["archived_until"] == known
    for jump in (forward, to_a_date):
        database.execute(jump)
        if program("watermark", "show", "--output", "json").json["archived_until"] > known:
            assert "SQL" in program("run", expect=4).err
        program("watermark", "set", known, "--yes", "--reason", "as before")
    database.execute(lag)
    assert program("watermark", "show", "--output", "json").json["lag_days"] == 14
    program("run")


@pytest.mark.postgres
def test_the_way_back_by_hand(
    blocks: dict[str, list[str]],
    project: Path,
    program: Program,
    by_hand: tuple[TestDatabase, FilesTable],
) -> None:
    """The guide's own rollback after its drop; `migrate status` and `run` know where they are."""
    database, table = by_hand
    program("run")
    for statement in blocks["back"]:
        database.execute(statement)
    [[flags, count]] = database.rows(blocks["verify"][0])
    assert (flags, count) == (True, 60)
    program("migrate", "status")
    program("run")
    check_truth(table, database, project / "output")
