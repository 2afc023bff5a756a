"""What a terminal shows: nothing wider than it is, nothing broken that is there to be copied."""

import re
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from cli.terminal import Terminal
from cli.test_night_memory import damaged_shard
from cli.test_night_watermark import move_by_sql
from des_admin.render.tables import COMMAND

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# In good health and in bad: what is printed about damage, locks and moves is longer.
FIRST = ("status", "progress", "doctor", "verify")
SCREENS = (
    *FIRST,
    *("watermark show", "exceptions list", "watermark history"),
    *("migrate status", "lock show"),
)


def plain(text: str) -> str:
    return ESCAPE.sub("", text)


@pytest.mark.parametrize("columns", [80, 160, 30])
def test_screens_fit_the_terminal(columns: int, sqlite_archive: Archive, program: Program) -> None:
    program("run")
    damaged_shard(sqlite_archive)
    program("verify", expect=20)
    move_by_sql(sqlite_archive, 2)
    for line in SCREENS if columns == 80 else FIRST:
        with Terminal(sqlite_archive.project, *line.split(), columns=columns) as terminal:
            terminal.end()
        rows = [row.rstrip() for row in plain(terminal.text).splitlines()]
        wide = [row for row in rows if len(row) > columns and not must_stay_whole(row, columns)]
        assert wide == [], f"{line}\n{plain(terminal.text)}"


def must_stay_whole(row: str, columns: int) -> bool:
    """What is there to be copied, and is wider than the screen: a command, a path, a URL."""
    command = COMMAND.search(row)
    words = [word for word in row.split() if "/" in word]
    if command is not None and row[: command.start()].strip(" →0123456789.") in ("", "hint:"):
        words.append(row[: command.end()])
    return any(len(word) > columns - 2 for word in words)


def test_a_command_is_never_broken(sqlite_archive: Archive) -> None:
    """Whoever copies what is on the screen gets one line of it."""
    move_by_sql(sqlite_archive, 2)
    for line, columns in (("status", 60), ("progress", 40), ("doctor", 50)):
        with Terminal(sqlite_archive.project, line, columns=columns) as terminal:
            terminal.end()
        rows = plain(terminal.text).splitlines()
        command = "des-admin watermark adopt --reason TEXT"
        assert any(command in row for row in rows), f"{line} at {columns}\n{terminal.text}"


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("line", ["status", "progress"])
def test_nor_is_a_command_within_a_value(
    line: str, columns: int, sqlite_archive: Archive, program: Program
) -> None:
    """`behind … (des-admin exceptions list)`: in a list of facts as in a table."""
    last = max(sqlite_archive.table.rows.values(), key=lambda row: row.created_at)
    Path(last.location).unlink()
    program("run", expect=3)
    piped = program(line).out
    commands = {match[0] for match in COMMAND.finditer(piped)}
    assert commands
    with Terminal(sqlite_archive.project, line, columns=columns) as terminal:
        terminal.end()
    shown = plain(terminal.text)
    assert [each for each in commands if shown.count(each) < piped.count(each)] == [], shown


@pytest.mark.parametrize("columns", [80, 60])
def test_no_screen_breaks_a_word(columns: int, sqlite_archive: Archive, program: Program) -> None:
    """What is piped has every word whole; so has the terminal, wherever the word fits a line."""
    for line in ("watermark history", "exceptions list -o wide", "migrate plan --down", "doctor"):
        piped = program(*line.split())
        with Terminal(sqlite_archive.project, *line.split(), columns=columns) as terminal:
            assert terminal.end() == 0
        shown = set(plain(terminal.text).split())
        words = {word for word in (piped.out + piped.err).split() if 5 < len(word) < columns - 2}
        lasting = {word for word in words if line == "watermark history" or word.isalpha()}
        assert lasting <= shown, f"{line}\n{plain(terminal.text)}"
        assert len(lasting) >= 3


def test_colours_and_their_absence(sqlite_archive: Archive) -> None:
    def shown(*line: str, **env: str) -> str:
        with Terminal(sqlite_archive.project, *line, env=env) as terminal:
            assert terminal.end() == 0
        return terminal.text

    colour = re.compile(r"\x1b\[[0-9;]*3[0-9]m")
    assert colour.search(shown("doctor"))
    assert not colour.search(shown("doctor", NO_COLOR="1"))
    assert not colour.search(shown("doctor", "--no-color"))
    assert "\x1b" not in shown("doctor", TERM="dumb")


def test_a_hash_is_shown_by_its_first_digits(sqlite_archive: Archive, program: Program) -> None:
    program("run")
    damaged_shard(sqlite_archive)
    [found] = program("verify", "--output", "json", expect=20).json["findings"]
    whole = re.findall(r"[0-9a-f]{64}", found["problem"])
    assert len(whole) == 2
    said = program("verify", expect=20).out
    assert re.findall(r"[0-9a-f]{13,}", said) == []
    assert all(f"{digest[:12]}…" in said for digest in whole)
    assert program("verify", "--repair", "--yes").out.count("verdict") == 1


def test_a_move_by_sql_is_no_hundred_percent(sqlite_archive: Archive, program: Program) -> None:
    program("run")
    assert "100.0 %" in program("progress").out
    move_by_sql(sqlite_archive, 2)
    for form in ("table", "markdown", "csv", "html"):
        said = program("progress", "--format", form).out
        assert "moved forward by SQL" in said
        assert "100.0 %" not in said
        assert "aught up" not in said
    assert program("progress", "--output", "json").json["total"] is None
