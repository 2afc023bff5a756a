"""Asking a foreign tool, or reading answers that were brought from elsewhere, and judging them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from des_core.backup.findings import CheckReport, Level
from des_core.backup.foreign import barman, mydumper, pgbackrest, wal_g
from des_core.backup.foreign.answer import ForeignAnswer, Tool, judge_answer
from des_core.backup.foreign.conversation import Asked, Brought, Conversation
from des_core.backup.presence import Surroundings
from des_core.backup.programs import locate
from des_core.basics.errors import UsageError

DAY_S = 24 * 3600.0


@dataclass(frozen=True)
class Question:
    """What to ask whom. `answers` are texts brought from elsewhere: then nothing is run.

    `name` is pgBackRest's stanza, Barman's server, mydumper's directory; WAL-G needs none. `tables`
    are those that must be in mydumper's dump of `database`, the application's first, whose rows
    `count_until` counts in the live database. All answers together may take `timeout_s`.
    """

    tool: Tool
    name: str
    level: Level
    options: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    database: str = ""
    tables: tuple[str, ...] = ()
    count_until: Callable[[datetime], int] | None = None
    timeout_s: float = DAY_S


@dataclass(frozen=True)
class Reader:
    """How a tool is understood, and which of its answers a text is that was brought."""

    read: Callable[[Conversation, str, Level], ForeignAnswer]
    recognise: Callable[[str, str], str]


_READERS = {
    Tool.PGBACKREST: Reader(pgbackrest.read, pgbackrest.recognise),
    Tool.BARMAN: Reader(barman.read, barman.recognise),
    Tool.WAL_G: Reader(wal_g.read, wal_g.recognise),
}


def check_foreign(question: Question, around: Surroundings) -> CheckReport:
    """The report. Refused where the tool is not here, says nothing, or not in time."""
    if question.tool is Tool.MYDUMPER:
        directory = Path(question.name)
        if not directory.is_dir():
            raise UsageError("there is no directory here", path=question.name)
        wanted = mydumper.Wanted(
            question.database, question.tables, question.level, question.count_until
        )
        answer = mydumper.read_directory(directory, wanted)
        return judge_answer(question.tool, question.name, answer, around)
    reader = _READERS[question.tool]
    try:
        answer = reader.read(_conversation(question, reader), question.name, question.level)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as exc:
        raise UsageError(
            f"the answer of {question.tool} is not of the form that is known",
            hint="this version of it may answer differently; tell us which it is",
            problem=f"{type(exc).__name__}: {exc}",
        ) from exc
    return judge_answer(question.tool, question.name, answer, around)


def _conversation(question: Question, reader: Reader) -> Conversation:
    if question.answers:
        named = ((reader.recognise(text, question.name), text) for text in question.answers)
        return Brought(dict(named))
    program = locate(
        question.tool.value,
        hint=f"install {question.tool}, or bring its answer: --answer FILE",
    )
    return Asked(program, question.options, question.timeout_s)
