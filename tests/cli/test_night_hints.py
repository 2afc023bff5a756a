"""The command that a finding names is taken by the program, in the very state that names it."""

import re
import shlex
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from cli.test_night_memory import damaged_shard
from cli.test_night_rows import delete_day
from cli.test_night_watermark import move_by_sql

COMMAND = re.compile(r"des-admin ((?:[\w./:-]+ ?)+)")
# What a person fills in, and what answers the questions of a command.
FILLED = {"TEXT": "because", "TIME": "2024-01-03", "USER": "somebody", "NAME": "x"}
ANSWERS = {
    "run": [],
    "watermark set": ["--yes"],
    "watermark lag": ["--yes"],
    "watermark adopt": ["--dry-run"],
    "verify": ["--yes"],
    "reconcile": ["--yes"],
    "exceptions retry": ["--yes"],
    "backup create": ["--dir", "backups"],
}
# A check that finds what it is asked about has not been refused.
FINDS = {"doctor", "verify", "reconcile", "ledger output"}


def moved_forward(archive: Archive, _: Program) -> None:
    move_by_sql(archive, 2)


def moved_back(archive: Archive, _: Program) -> None:
    move_by_sql(archive, -2)


def in_the_future(archive: Archive, _: Program) -> None:
    move_by_sql(archive, 3650)


def beyond_the_target(archive: Archive, program: Program) -> None:
    program("run")
    program("watermark", "lag", "30", "--yes")


def a_damaged_shard(archive: Archive, program: Program) -> None:
    program("run")
    damaged_shard(archive)
    program("verify", expect=20)


def an_output_elsewhere(archive: Archive, program: Program) -> None:
    program("run")
    (archive.project / "output").rename(archive.project / "away")
    (archive.project / "output").mkdir()
    program("run", expect=4)


def rows_that_are_gone(archive: Archive, program: Program) -> None:
    program("run")
    last = max(row.created_at for row in archive.table.rows.values()).date()
    for back in range(2):
        delete_day(archive, last - timedelta(days=back))
    program("reconcile", expect=4)


def sources_that_are_gone(archive: Archive, program: Program) -> None:
    shutil.rmtree(archive.table.root)
    program("run", expect=None)


def nothing_done_yet(archive: Archive, _: Program) -> None:
    """After the cutover: no cycle, no backup, exceptions of the seed."""


STATES: list[Callable[[Archive, Program], None]] = [
    *(moved_forward, moved_back, in_the_future, beyond_the_target, a_damaged_shard),
    *(an_output_elsewhere, rows_that_are_gone, sources_that_are_gone, nothing_done_yet),
]


def commands_of(hint: str) -> list[list[str]]:
    """Every command of ours in a hint, with its blanks filled in."""
    found = []
    for match in COMMAND.finditer(hint):
        words = [FILLED.get(word, word) for word in shlex.split(match[1].strip().rstrip(".:"))]
        found.append(words)
    return found


def hints_of(program: Program) -> set[str]:
    checks = program("doctor", "--output", "json", expect=None).json["checks"]
    bad = {c["hint"] for c in checks if c["status"] in {"failed", "warning"} and c["hint"]}
    shown = program("progress", "--output", "json", expect=None)
    health = shown.json["health"] if shown.code == 0 else []
    return bad | {remark["hint"] for remark in health}


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_no_hint_is_refused(
    sqlite_archive: Archive, program: Program, state: Callable[[Archive, Program], None]
) -> None:
    state(sqlite_archive, program)
    kept, output = sqlite_archive.project.parent / "kept", sqlite_archive.project / "output"
    assert sqlite_archive.config.path is not None
    for hint in sorted(hints_of(program)):
        for words in commands_of(hint):
            shutil.copy(sqlite_archive.config.path, kept)
            shutil.copytree(output, f"{kept}.output")
            _require_taken(program, hint, words)
            shutil.copy(kept, Path(sqlite_archive.config.path))
            shutil.rmtree(output)
            Path(f"{kept}.output").rename(output)


def _require_taken(program: Program, hint: str, words: list[str]) -> None:
    name = next((n for n in ANSWERS if words[: len(n.split())] == n.split()), None)
    done = program(*words, *(ANSWERS[name] if name else []), expect=None)
    said = f"{hint!r}: {' '.join(words)} ended with {done.code}:\n{done.out}\n{done.err}"
    is_finding = any(words[: len(n.split())] == n.split() for n in FINDS)
    allowed = {0, 3} | ({4, 20} if is_finding else set())
    assert done.code in allowed, said
