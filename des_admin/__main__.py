"""`des-admin`, also as `python -m des_admin`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from des_admin.command_table import PANELS
from des_admin.program import is_completing, run_command_line
from des_core.process.collector import collect_rarely


def _as_help(words: Sequence[str]) -> Sequence[str]:
    """`help run` is what people type first for `run --help`, and `watermark help`."""
    if list(words[:1]) == ["help"]:
        return [*words[1:], "--help"]
    groups = {entry.name for entries in PANELS.values() for entry in entries if entry.is_group}
    is_of_group = len(words) == 2 and words[0] in groups and words[1] == "help"
    return [words[0], "--help"] if is_of_group else words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code (see des_core.basics.errors.ExitCode)."""
    collect_rarely()
    from des_admin.app import make_app

    words = _as_help(sys.argv[1:] if arguments is None else arguments)
    named = None if is_completing("des-admin") else set(words)
    return run_command_line("des-admin", lambda: make_app(named), words)


if __name__ == "__main__":
    sys.exit(main())
