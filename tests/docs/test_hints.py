"""Every command that a message of ours names is one that the program takes: name, options, values.

All texts of the code are walked, whoever says them: hints of errors, of findings, of plans.
`tests/cli/test_night_hints.py` runs them in the state that shows them.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from des_admin import per_record_cli, retriever_cli
from des_admin.app import make_app
from support.pages.documents import OUTPUT
from support.pages.hints import AFTER, COMMAND, HOLE

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted([*(ROOT / "des_admin").rglob("*.py"), *(ROOT / "runner").rglob("*.py")])
PAGES = [ROOT / "README.md", ROOT / "RUNBOOK.md", *sorted((ROOT / "docs").rglob("*.md"))]
IN_PAGES = re.compile(r"^ *```(\w*)\n(.*?)^ *```|`([^`]+)`|^    (des-\S+ [^\n]*)$", re.M | re.S)


def texts() -> Iterator[tuple[str, str]]:
    """Where, and the text of each string; what is filled in is a hole."""
    for path in CODE:
        inside: set[int] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                inside |= {id(value) for value in node.values}
                text = "".join(
                    value.value if isinstance(value, ast.Constant) else HOLE
                    for value in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if id(node) in inside:
                    continue
                text = node.value
            else:
                continue
            for line in text.split("\n"):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", line


def page_texts() -> Iterator[tuple[str, str]]:
    """Lines of blocks, and code within sentences: also what no test can run is to be right."""
    for path in PAGES:
        for lang, block, inline, indented in IN_PAGES.findall(path.read_text(encoding="utf-8")):
            lines = block.splitlines() if block else [" ".join((inline or indented).split())]
            yield from ((path.name, line) for line in lines if lang != OUTPUT)


def commands(lines: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str, list[str]]]:
    for where, line in lines:
        for match in COMMAND.finditer(line):
            yield where, match[1], match[2].split()


APPS = {
    "des-admin": make_app,
    "des-retriever": retriever_cli.make_app,
    "des-migrate": per_record_cli.make_app,
}


@pytest.fixture(scope="module")
def programs() -> dict[str, Any]:
    return {name: typer.main.get_command(make()) for name, make in APPS.items()}


def problem_of(program: Any, words: list[str]) -> str | None:
    """Why the program would not take this line; None if it would, as far as it is told."""
    command, rest = program, list(words)
    known = {name for each in program.params for name in (*each.opts, *each.secondary_opts)}
    while getattr(command, "commands", None):
        while rest and rest[0] in known:
            rest = rest[2:]
        if rest and rest[0].startswith("--"):  # of the program itself, as --help
            return None
        if not rest or HOLE in rest[0]:
            return None
        name = rest.pop(0).rstrip(".:'\"")
        if name in AFTER and name not in command.commands:
            return None
        if name not in command.commands:
            return f"no command {name!r}"
        command = command.commands[name]
    options = {n: e for e in command.params for n in (*e.opts, *e.secondary_opts)} | {
        n: e for e in program.params for n in (*e.opts, *e.secondary_opts)
    }
    if command.context_settings.get("ignore_unknown_options"):  # what it passes on is another's
        return None
    for word in rest:
        option = word.partition("=")[0].rstrip(".:'\"")
        if (
            option.startswith("--")
            and option != "--"
            and HOLE not in option
            and option != "--help"
            and option not in options
        ):
            return f"no option {option}"
    return None


@pytest.mark.parametrize("source", [texts, page_texts])
def test_every_command_in_a_text_is_one_that_the_program_takes(
    source: Callable[[], Iterator[tuple[str, str]]], programs: dict[str, Any]
) -> None:
    found = list(commands(source()))
    assert len(found) > 200, "the walk has lost its way"
    wrong = [
        f"{where}: {name} {' '.join(words)}: {problem}"
        for where, name, words in found
        if (problem := problem_of(programs[name], words)) is not None
    ]
    assert wrong == []


@pytest.mark.parametrize("line", ["watermark adpt", "run --dry", "exceptions retry --why x"])
def test_a_command_that_is_none_would_be_found(line: str, programs: dict[str, Any]) -> None:
    assert problem_of(programs["des-admin"], line.split()) is not None
