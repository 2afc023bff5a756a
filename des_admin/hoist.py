"""Lets global options stand after the subcommand too: `des-admin progress --output json`.

The line is walked with the parser's own knowledge of which options take a value, so the value
of another option is never mistaken for a global option. Nothing behind `--` is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Command(Protocol):
    """A command of the parser; a group has `commands` as well."""

    params: list[Any]


_Values = dict[str, int]


def hoist_global_options(root: Command, arguments: Sequence[str]) -> list[str]:
    """The same line with the root's options in front; `--help` stays where it is."""
    root_values = _values_taken(root)
    front: list[str] = []
    rest: list[str] = []
    command, known = root, root_values
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            return [*front, *rest, word, *waiting]
        if word.startswith("-") and word != "-":
            name = word.partition("=")[0]
            is_global = name in root_values and (command is root or name not in known)
            count = 0 if "=" in word else {**root_values, **known}.get(name, 0)
            target = front if is_global else rest
            target += [word, *waiting[:count]]
            del waiting[:count]
            continue
        rest.append(word)
        child = _children(command).get(word)
        if child is not None:
            command, known = child, _values_taken(child)
    return [*front, *rest]


def _children(command: Command) -> Mapping[str, Command]:
    children: Mapping[str, Command] = getattr(command, "commands", {})
    return children


def _values_taken(command: Command) -> _Values:
    """How many words follow each option of the command."""
    return {
        name: 0 if _is_switch(parameter) else parameter.nargs
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("-")
    }


def _is_switch(parameter: Any) -> bool:
    return bool(getattr(parameter, "is_flag", False) or getattr(parameter, "count", False))
