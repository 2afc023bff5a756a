"""Imports what draws the help, without what our help never shows.

Typer's help page imports rich's Markdown, with a parser, and its tracebacks, with pygments: more
than half of what it takes until the page stands. Here both are classes that become the real ones
when somebody uses them. Only typer's own module gets them; all others import what they name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

PUT_OFF = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}


class _Late(type):
    """A class whose module is imported when it is called or looked into."""

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        return cls._real()(*arguments, **named)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls._real(), name)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls._real())

    def _real(cls) -> Any:
        return getattr(import_module(cls.__module__), cls.__name__)


def import_help() -> None:
    """Import typer's help page; the usual way where typer has come to want more."""
    if "typer.rich_utils" in sys.modules:
        return
    try:
        with _stand_ins():
            import_module("typer.rich_utils")
    except ImportError:
        import_module("typer.rich_utils")


@contextmanager
def _stand_ins() -> Iterator[None]:
    absent = {name: late for name, late in PUT_OFF.items() if name not in sys.modules}
    for module, name in absent.items():
        stand_in = ModuleType(module)
        setattr(stand_in, name, _Late(name, (), {"__module__": module}))
        sys.modules[module] = stand_in
    try:
        yield
    finally:
        for module in absent:
            del sys.modules[module]
