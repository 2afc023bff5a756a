"""Flags, types and prompts are alike across commands; CONTRIBUTING.md has the table.

A new command has to be named here if it changes nothing, or has no plan to show.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from typing import Any

import pytest
import typer

from cli.conftest import ROOT, Archive, Program
from des_admin.help_text import IRREVERSIBLE, tidy_help
from des_admin.spellings import RENAMED, respell

APPS = {
    "des-admin": "des_admin.app",
    "des-retriever": "des_admin.retriever_cli",
    "des-migrate": "des_admin.per_record_cli",
}
# Read only, or write only files that the operator names.
READERS = {
    *(
        "doctor",
        "status",
        "progress",
        "exporter",
        "config show",
        "plan capacity",
        "plan compression",
        "lock show",
    ),
    *("migrate plan", "migrate status", "migrate sql", "watermark show", "watermark history"),
    *("exceptions list", "backup check", "backup list", "backup restore-plan"),
    *("archive has", "archive get", "archive ls", "archive export"),
    *("sql list", "sql show", "sql grants"),
}
WITHOUT_DRY_RUN = {
    "demo": "works in a directory of its own",
    "init": "shows each answer, and replaces nothing without --force",
    "migrate pause": "a switch: migrate resume undoes it",
    "migrate resume": "a switch: migrate pause undoes it",
    "migrate alembic": "Alembic's own command line: --sql shows what it would do",
}
SYNONYMS = {
    "--jobs": r"--(workers|threads|sessions|processes|parallel\w*|concurrency|num-\w+)",
    "--interval": r"--(every|period|poll\w*|frequency|refresh)",
    "--reason": r"--(because|why|comment|message|note|ticket)",
    "--yes": r"--(assume-yes|no-confirm|non-interactive|batch|force-yes|no-input)",
    "--dry-run": r"--(simulate|preview|what-if|noop|pretend|check-only|test)",
    "--limit": r"--(max-rows|top|head-lines|count|max-count)",
}
OTHER_MEANING = {("plan capacity", "--workers"): "an amount of the estimate, not of this process"}
LENGTHS = re.compile(
    r"--(interval|sleep|timeout|max-duration|max-age|max-lag|\w*-?(delay|wait|ttl))"
)
TIMES = re.compile(r"--(since|until|before|after|created-at|seed-at|expect-current|\w+-at)")
UNITS = re.compile(r"--[\w-]+-(s|sec|secs|seconds|ms|minutes|hours)")
IN_UNITS = {"plan capacity"}  # rates and prices, each with its unit
PLACEHOLDERS = {
    *("", "N", "TEXT", "FILE", "DIR", "FILE|DIR", "URL", "NAME", "UID", "UID...", "LIST", "USER"),
    *(
        "LENGTH",
        "TIME",
        "DAY",
        "DAYS",
        "LENGTH|TIME",
        "CRON",
        "ZONE",
        "HASH",
        "HEAD",
        "REASON",
        "TABLE",
    ),
    *("ADDRESS", "SQL", "BYTES", "MS", "US", "MIB", "R", "P", "ROLE", "PLACE", "COMMAND"),
    *("NAME=VALUE", "N|P%|n/t", "source|config", "[NAME|PATH]", "[NAME|PATH]..."),
}
DANGEROUS = {"--purge", "--forget"}
# One name, two meanings that no reader confuses.
MAY_DIFFER = {"--to", "--format", "--database", "--output", "--output-dir", "--user", "--max-load"}


def walk(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
    for child, below in (children or {}).items():
        yield from walk(below, f"{name} {child}".strip())


def read_commands() -> dict[tuple[str, str], Any]:
    found = {}
    for program, module in APPS.items():
        root = typer.main.get_command(import_module(module).make_app())
        tidy_help(root, typer.Context(root, help_option_names=["-h", "--help"]))
        found |= {(program, name): command for name, command in walk(root)}
    return found


COMMANDS = read_commands()
EACH = pytest.mark.parametrize(
    ("name", "command"),
    [
        pytest.param(name, each, id=f"{program} {name}")
        for (program, name), each in COMMANDS.items()
    ],
)


def options(command: Any) -> list[Any]:
    return [each for each in command.params if each.opts[0].startswith("-")]


def long_name(option: Any) -> str:
    return next((name for name in option.opts if name.startswith("--")), option.opts[0])


def names(command: Any) -> set[str]:
    return {long_name(option) for option in options(command)}


def test_the_walk_finds_them_all() -> None:
    assert len(COMMANDS) > 45
    assert {name for program, name in COMMANDS if program == "des-admin"} >= READERS | set(
        WITHOUT_DRY_RUN
    )


@EACH
def test_one_thing_has_one_name(name: str, command: Any) -> None:
    wrong = {
        option: wanted
        for option in names(command)
        for wanted, pattern in SYNONYMS.items()
        if re.fullmatch(pattern, option) and (name, option) not in OTHER_MEANING
    }
    assert wrong == {}, "the table in CONTRIBUTING.md has the name to use"


def test_the_other_programs_change_nothing_or_can_show_it_first() -> None:
    others = {program: set[str]() for program in APPS}
    for (program, _), command in COMMANDS.items():
        others[program] |= names(command)
    assert "--dry-run" in others["des-migrate"]
    assert not {"--yes", "--confirm", "--dry-run"} & others["des-retriever"]


@pytest.mark.parametrize("name", sorted(n for p, n in COMMANDS if p == "des-admin"))
def test_what_changes_something_can_be_shown_first(name: str) -> None:
    if name in READERS or name in WITHOUT_DRY_RUN:
        assert not names(COMMANDS["des-admin", name]) & {"--yes", "--confirm"}
        return
    assert "--dry-run" in names(COMMANDS["des-admin", name])


@EACH
def test_lengths_and_times_have_one_grammar_each(name: str, command: Any) -> None:
    for option in options(command):
        flag = long_name(option)
        if LENGTHS.fullmatch(flag):
            assert option.metavar == "LENGTH", flag
        if TIMES.fullmatch(flag):
            assert option.metavar == "TIME", flag
        assert name in IN_UNITS or not UNITS.fullmatch(flag), f"{flag}: a LENGTH has its unit"


@EACH
def test_types_are_those_of_people(name: str, command: Any) -> None:
    for parameter in command.params:
        kind = parameter.type_descriptor.annotation
        is_choice = isinstance(kind, type) and issubclass(kind, Enum)
        assert parameter.metavar in PLACEHOLDERS or is_choice, f"{name} {parameter.opts}"
        assert parameter.show_default is not False, f"{name} {parameter.opts} hides its default"
        if getattr(parameter, "min", None) is not None or getattr(parameter, "max", None):
            assert "<=" not in parameter._get_number_range_help_str()


def test_one_name_has_one_type() -> None:
    types: dict[str, set[str]] = defaultdict(set)
    for command in COMMANDS.values():
        for option in options(command):
            shown = option.metavar if option.metavar is not None else "choice"
            types[long_name(option)].add(shown)
    assert {n: sorted(t) for n, t in types.items() if len(t) > 1 and n not in MAY_DIFFER} == {}


@EACH
def test_irreversible_flags_come_last_and_are_called_so(name: str, command: Any) -> None:
    given = options(command)
    marked = [(option.help or "").startswith(IRREVERSIBLE) for option in given]
    assert marked == sorted(marked), f"{name}: irreversible flags last"
    for option, is_marked in zip(given, marked, strict=True):
        assert is_marked or long_name(option) not in DANGEROUS, f"{name} {long_name(option)}"


@EACH
def test_what_cannot_be_undone_wants_a_number(name: str, command: Any) -> None:
    says_so = IRREVERSIBLE in (command.help or "")
    if says_so or any((option.help or "").startswith(IRREVERSIBLE) for option in options(command)):
        assert name in READERS or "--confirm" in names(command)


@EACH
def test_yes_has_a_short_form_and_dry_run_has_none(name: str, command: Any) -> None:
    for option in options(command):
        if "--dry-run" in option.opts:
            assert option.opts == ["--dry-run"]
        if "--yes" in option.opts:
            assert option.opts == ["--yes", "-y"] or name == "run"


def test_every_prompt_names_its_object() -> None:
    """A question is an f-string with a value in it, or comes from a function that makes one."""
    vague = []
    for path in sorted((ROOT / "des_admin").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr not in ("confirm", "confirm_number") or not node.args:
                continue
            question = node.args[0]
            has_value = isinstance(question, ast.JoinedStr) and any(
                isinstance(part, ast.FormattedValue) for part in question.values
            )
            if not has_value and not isinstance(question, ast.Call):
                vague.append(f"{path.name}:{node.lineno}")
    assert vague == []


def test_the_table_names_every_rule() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for flag in (*SYNONYMS, "--only", "--confirm N", *DANGEROUS):
        assert f"`{flag}" in text, flag
    for old in {old for renames in RENAMED.values() for old in renames}:
        assert f"`{old}`" in text, old


OLD_LINES = {
    "run --dry-run --workers 1": "--jobs",
    "verify --threads=2": "--jobs",
    "progress --every 5s": "--interval",
    "exceptions list --reason pending_at_seed": "--only",
    "exceptions retry --reason pending_at_seed --dry-run": "--only",
    "exceptions resolve --reason pending_at_seed --because lost --dry-run": "--only",
    "exceptions resolve --reason pending_at_seed --dry-run": "--only",
}


@pytest.mark.parametrize("line", OLD_LINES)
def test_old_spellings_are_accepted_with_a_note(
    line: str, sqlite_archive: Archive, program: Program
) -> None:
    del sqlite_archive
    done = program(*line.split())
    assert f"is now {OLD_LINES[line]}" in done.err
    assert "note:" not in program(*line.split(), "--quiet").err


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("migrate down --sessions 2", "migrate down --jobs 2"),
        ("plan capacity --backlog 5", "plan capacity --pending 5"),
        ("backup check --max-age-hours 26", "backup check --max-age 26h"),
        ("backup check --max-age-hours=2.5 -v", "backup check --max-age=2.5h -v"),
        ("--output json run --workers 3", "--output json run --jobs 3"),
        ("exceptions resolve --uid 7 --reason lost", "exceptions resolve --uid 7 --reason lost"),
        ("exceptions resolve --only late --reason x", "exceptions resolve --only late --reason x"),
        ("lock break --reason 'run --workers'", "lock break --reason 'run --workers'"),
        ("archive get -- run --workers", "archive get -- run --workers"),
    ],
)
def test_respelling_touches_nothing_else(old: str, new: str) -> None:
    assert respell(old.split(), lambda _: None) == new.split()
