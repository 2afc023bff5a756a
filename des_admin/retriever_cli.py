"""`des-retriever`: has, get and ls on their own, for people who only read."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from des_admin.app import set_options
from des_admin.commands.archive import make_archive_app
from des_admin.program import run_command_line
from des_core.process.collector import collect_rarely

HELP = """Read files back from a DES archive.

Needs a configuration of des-admin, or just the archive's directory: --output-dir DIR.
"""


def make_app() -> typer.Typer:
    """The whole command line."""
    app = make_archive_app("des-retriever", HELP)
    app.info.name = "des-retriever"
    app.callback()(set_options)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code."""
    collect_rarely()
    return run_command_line(
        "des-retriever", make_app, sys.argv[1:] if arguments is None else arguments
    )


if __name__ == "__main__":
    sys.exit(main())
