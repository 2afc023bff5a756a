"""Pieces of `--help` that recur."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

IRREVERSIBLE = "Irreversible"
_PLACEHOLDERS: dict[object, str] = {int: "N", float: "N", str: "TEXT", Path: "FILE"}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


def examples(*commands: str, note: str = "") -> str:
    """The end of a command's help: lines to type, then a note."""
    title = "Example" if len(commands) == 1 else "Examples"
    lines = [f"[bold]{title}[/bold]", *(f"$ {command}" for command in commands)]
    text = "\n".join(lines)
    return f"{text}\n\n{note}" if note else text


def tidy_help(root: Any, context: Any) -> None:
    """Types as a person says them, what cannot be undone last, paragraphs without our breaks."""
    for command in _all_commands(root):
        for parameter in (*command.params, command.get_help_option(context)):
            _tidy_parameter(parameter)
        command.params.sort(key=_is_irreversible)
        if command.help:
            paragraphs = command.help.split("\n\n")
            command.help = "\n\n".join(" ".join(text.split()) for text in paragraphs)


def _is_irreversible(parameter: Any) -> bool:
    return (getattr(parameter, "help", None) or "").startswith(IRREVERSIBLE)


def _tidy_parameter(parameter: Any) -> None:
    if getattr(parameter, "is_flag", False):
        parameter.metavar = ""
        return
    described = getattr(parameter, "type_descriptor", None)
    placeholder = None if described is None else _PLACEHOLDERS.get(described.annotation)
    if not parameter.opts[0].startswith("-") and (placeholder or parameter.metavar):
        parameter.metavar = parameter.metavar or parameter.name.upper()
        parameter.display_type_rich = _always("")
    elif parameter.metavar is None:
        parameter.metavar = placeholder
    if parameter.metavar == "LENGTH" and isinstance(parameter.default, float):
        parameter._get_default_string = _always(length_text(parameter.default))
    least, most = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if least is not None or most is not None:
        parameter._get_number_range_help_str = _always(range_text(least, most))


def range_text(least: float | None, most: float | None) -> str:
    """`1 to 64`, `0 or more`."""
    if least is None or most is None:
        return f"{least:g} or more" if most is None else f"up to {most:g}"
    return f"{least:,g} to {most:,.0f}"


def length_text(seconds: float) -> str:
    """`5m`, `15s`: as one would type it."""
    for size, unit in _UNITS:
        if seconds and seconds % size == 0:
            return f"{seconds // size:g}{unit}"
    return f"{seconds:g}s"


def _always(text: str) -> Callable[..., str]:
    return lambda **_: text


def _all_commands(command: Any) -> list[Any]:
    children = getattr(command, "commands", {}).values()
    return [command, *(deeper for child in children for deeper in _all_commands(child))]
