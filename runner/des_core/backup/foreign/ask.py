"""Asking a foreign tool, or reading answers that were brought from elsewhere, and judging them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from des_core.backup.findings import CheckReport, Level
from des_core.backup.foreign import barman, mydumper, pgbackrest, wal_g
from des_core.backup.foreign.answer import ForeignAnswer, Tool, judge_answer
from des_core.backup.presence import Surroundings
from des_core.backup.programs import locate
from des_core.basics.errors import Refused, UsageError

TIMEOUT_S = 24 * 3600


@dataclass(frozen=True)
class Reader:
    """How one tool is asked, by program, name, options and level, and how it is understood."""

    commands: Callable[[str, str, tuple[str, ...], Level], list[list[str]]]
    read: Callable[[list[str], str, Level], ForeignAnswer]


_READERS = {
    Tool.PGBACKREST: Reader(pgbackrest.commands, pgbackrest.read),
    Tool.BARMAN: Reader(barman.commands, barman.read),
    Tool.WAL_G: Reader(wal_g.commands, wal_g.read),
}


@dataclass(frozen=True)
class Question:
    """What to ask whom. `answers` are texts brought from elsewhere: then nothing is run.

    `name` is pgBackRest's stanza, Barman's server, mydumper's directory; WAL-G needs none. `tables`
    are those that must be in mydumper's dump of `database`.
    """

    tool: Tool
    name: str
    level: Level
    options: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    database: str = ""
    tables: tuple[str, ...] = ()


def check_foreign(question: Question, around: Surroundings) -> CheckReport:
    """The report. Refused where the tool is not here or says nothing."""
    if question.tool is Tool.MYDUMPER:
        wanted = mydumper.Wanted(question.database, question.tables, question.level)
        directory = Path(question.name)
        if not directory.is_dir():
            raise UsageError("there is no directory here", path=question.name)
        answer = mydumper.read_directory(directory, wanted)
        return judge_answer(question.tool, question.name, answer, around)
    reader = _READERS[question.tool]
    answers = list(question.answers) or _ask(reader, question)
    try:
        answer = reader.read(answers, question.name, question.level)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as exc:
        raise UsageError(
            f"the answer of {question.tool} is not of the form that is known",
            hint="this version of it may answer differently; tell us which it is",
            problem=f"{type(exc).__name__}: {exc}",
        ) from exc
    return judge_answer(question.tool, question.name, answer, around)


def _ask(reader: Reader, question: Question) -> list[str]:
    program = locate(
        question.tool.value,
        hint=f"install {question.tool}, or bring its answer: --answer FILE",
    )
    commands = reader.commands(program, question.name, question.options, question.level)
    return [_run(command) for command in commands]


def _run(command: list[str]) -> str:
    """The answer on stdout. Exit codes are not trusted either way: the words are."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Refused(f"the tool could not be run: {exc}", command=" ".join(command)) from exc
    if not done.stdout.strip():
        raise Refused(
            f"the tool gave no answer (exit code {done.returncode})",
            hint="run the command by hand",
            command=" ".join(command),
            stderr=done.stderr.strip()[:1000] or None,
        )
    return done.stdout
