"""Pieces of `--help` that recur."""

from __future__ import annotations

from typing import Any


def examples(*commands: str, note: str = "") -> str:
    """The end of a command's help: lines to type, then a note."""
    title = "Example" if len(commands) == 1 else "Examples"
    lines = [f"[bold]{title}[/bold]", *(f"$ {command}" for command in commands)]
    text = "\n".join(lines)
    return f"{text}\n\n{note}" if note else text


def tidy_help(root: Any, context: Any) -> None:
    """Show switches without a value to give, and paragraphs without the breaks of our sources."""
    for command in _all_commands(root):
        for parameter in (*command.params, command.get_help_option(context)):
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        if command.help:
            paragraphs = command.help.split("\n\n")
            command.help = "\n\n".join(" ".join(text.split()) for text in paragraphs)


def _all_commands(command: Any) -> list[Any]:
    children = getattr(command, "commands", {}).values()
    return [command, *(deeper for child in children for deeper in _all_commands(child))]
