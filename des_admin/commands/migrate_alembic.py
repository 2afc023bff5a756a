"""`des-admin migrate alembic`: Alembic's own commands, with the revisions that are installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.commands.migrate import app
from des_admin.context import Context
from des_admin.help_text import examples
from des_core.basics.errors import DesError, UsageError

if TYPE_CHECKING:
    from argparse import Namespace

# The others write version files, which only a checkout wants.
COMMANDS = ("history", "current", "heads", "branches", "show", "upgrade", "downgrade", "stamp")


def register(_root: typer.Typer) -> None:
    app.command(
        "alembic",
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
        epilog=examples(
            "des-admin migrate alembic history",
            "des-admin migrate alembic upgrade heads --sql",
            "des-admin migrate alembic -x backup=NAME upgrade heads",
        ),
    )(alembic)


def alembic(
    ctx: typer.Context,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="What would follow the word alembic."),
    ] = None,
) -> None:
    """Run a command of plain Alembic: history, current, heads, upgrade, downgrade.

    It asks nothing, as Alembic does. The rollback that can be undone: downgrade 0001_ledger.
    """
    context = Context.of(ctx)
    if context.wants_json:
        raise UsageError("Alembic prints text only", hint="see also: des-admin migrate status")
    options = _parse(arguments or [])
    if options.cmd[0].__name__ not in COMMANDS:
        raise UsageError("this command writes version files", hint="use Alembic in a checkout")
    _run(context, options)


def _parse(arguments: list[str]) -> Namespace:
    from alembic.config import CommandLine

    parser = CommandLine(prog="des-admin migrate alembic").parser
    options = parser.parse_args(arguments or ["--help"])
    if not hasattr(options, "cmd"):
        parser.error("too few arguments")
    return options


def _run(context: Context, options: Namespace) -> None:
    from alembic.config import CommandLine
    from alembic.util import CommandError

    from des_core.migration.environment import ACTOR, SETTINGS, in_alembic_words
    from des_core.migration.operations.versions import alembic_config

    options.raiseerr = True
    config = alembic_config()
    config.cmd_opts = options
    config.attributes |= {SETTINGS: lambda: context.settings, ACTOR: context.actor}
    try:
        CommandLine(prog="des-admin migrate alembic").run_cmd(config, options)
    except CommandError as exc:
        if isinstance(refused := exc.__cause__, DesError):
            refused.hint = refused.hint and in_alembic_words(refused.hint)
            raise refused from None
        raise UsageError(str(exc), hint="see: des-admin migrate alembic history") from exc
