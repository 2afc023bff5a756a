"""A migration on the screen: a plan that fits on it, its command below, a tick for each step."""

import json
import shlex

from cli.conftest import Archive, Program

HEIGHT = 24


def plan_lines(program: Program, *arguments: str) -> list[str]:
    return program("migrate", "plan", *arguments).out.splitlines()


def command_of(lines: list[str]) -> list[str]:
    """The arguments of the command on the last line."""
    start, _, rest = lines[-1].partition("do it: des-admin ")
    assert start == ""
    return shlex.split(rest)


def test_the_plan_fits_on_a_screen_and_its_last_line_does_it(
    archive: Archive, program: Program
) -> None:
    for way in (("--down",), (), ("--drop-archived", "--backup", "tape 17"), ("--down",)):
        lines = plan_lines(program, *way)
        assert lines[0].startswith("migrate ")
        assert "rows of files" in lines[0] or "no row of files" in lines[0]
        assert "files is locked" in lines[0] or "files is not locked" in lines[0]
        assert len(lines) <= HEIGHT
        done = program(*command_of(lines), "--yes")
        assert "✓ " in done.err
        assert not any(line.startswith("revisions") for line in done.err.splitlines())


def test_the_command_is_refused_once_the_plan_is_another(
    archive: Archive, program: Program
) -> None:
    command = command_of(plan_lines(program, "--down"))
    program("migrate", "down", "--yes")
    assert "not the plan that was approved" in program(*command, "--yes", expect=4).err


def test_every_statement_is_there_when_asked_for(archive: Archive, program: Program) -> None:
    found = json.loads(program("migrate", "plan", "--down", "--output", "json").out)
    shown = program("--verbose", "migrate", "plan", "--down").out
    assert found["command"].endswith(f"--plan {found['plan']['hash']}")
    for statement in found["plan"]["statements"]:
        assert statement["step"] in shown
