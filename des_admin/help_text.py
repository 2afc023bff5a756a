"""Pieces of `--help` that recur."""

from __future__ import annotations


def examples(*commands: str, note: str = "") -> str:
    """The end of a command's help: lines to type, then a note."""
    title = "Example" if len(commands) == 1 else "Examples"
    lines = [f"[bold]{title}[/bold]", *(f"$ {command}" for command in commands)]
    text = "\n".join(lines)
    return f"{text}\n\n{note}" if note else text
