"""The root of `des-admin`: global options, command groups, exit codes in the help."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from des_admin.command_table import PANELS, Entry
from des_admin.context import Context, Session
from des_admin.options import GlobalOptions, OutputMode

EPILOG = """\
[bold]First steps[/bold]
  des-admin demo           watch a whole cutover on made-up files
  des-admin init           write a configuration
  des-admin doctor         check everything that it names
  des-admin migrate plan   see what the cutover would do

[bold]Exit codes[/bold]
    0  done
    1  internal error
    2  wrong usage or configuration
    3  done, with new exceptions
    4  a check found something, or the job was refused
   10  database (or Dask scheduler) unreachable
   11  somebody else holds the lock
   12  schema not at the expected revision
   20  damaged data
  130  interrupted
  143  terminated"""


def _print_version(wanted: bool) -> None:
    if wanted:
        from des_core import __version__

        typer.echo(f"des-admin {__version__}")
        raise typer.Exit


def set_options(
    ctx: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="The configuration file. Otherwise DES_ADMIN_CONFIG, ./des-admin.yaml or "
            "~/.config/des-admin/config.yaml.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The profile of the file whose keys win."),
    ] = None,
    output: Annotated[
        OutputMode,
        typer.Option(help="Tables for people, or JSON as docs/json.md promises it."),
    ] = OutputMode.TABLE,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print more details.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours; so does NO_COLOR.")] = (
        False
    ),
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Move a billion-row file archive from per-record flags to one watermark, live there, get back.

    The options below may stand anywhere in the line, also after the command.
    """
    if verbose and quiet:
        raise typer.BadParameter("--verbose and --quiet exclude each other")
    context = Context(GlobalOptions(config_file, profile, output, verbose, quiet, no_color))
    if isinstance(ctx.obj, Session):
        ctx.obj.context = context
    ctx.obj = context
    ctx.call_on_close(context.close)


def _own_or(heading: Any, otherwise: str) -> str:
    return heading if isinstance(heading, str) else otherwise


def make_app(words: Collection[str] | None = None) -> typer.Typer:
    """The command line: all of it, or of commands that are none of `words` only the summaries.

    Who runs a line passes its words: a command that is not among them cannot be meant.
    """
    app = typer.Typer(
        name="des-admin",
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        epilog=EPILOG,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(set_options)
    for panel, entries in PANELS.items():
        for entry in entries:
            if words is None or entry.name in words:
                _add_command(app, entry)
            else:
                _add_summary(app, entry)
        for command in app.registered_commands:
            command.rich_help_panel = _own_or(command.rich_help_panel, panel)
        for group in app.registered_groups:
            group.rich_help_panel = _own_or(group.rich_help_panel, panel)
    return app


def _add_command(app: typer.Typer, entry: Entry) -> None:
    for module in entry.modules:
        import_module(module).register(app)


def _add_summary(app: typer.Typer, entry: Entry) -> None:
    if entry.is_group:
        app.add_typer(typer.Typer(help=entry.summary), name=entry.name)
    else:
        app.command(entry.name, help=entry.summary)(_never_run)


def _never_run() -> None:
    raise AssertionError("a command that the line does not name was run")
