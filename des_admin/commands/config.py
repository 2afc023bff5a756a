"""`des-admin config show`: every key, its value, and where it was set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import Column, print_table

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Look at the configuration.")


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="config")


@app.command(
    epilog=examples(
        "des-admin config show", "des-admin config show --profile staging --output json"
    )
)
def show(ctx: typer.Context) -> None:
    """Show every key with its value and its origin. Secrets read ***."""
    from des_core.settings.view import view_settings

    context = Context.of(ctx)
    lines = view_settings(context.loaded)

    def draw(out: Console) -> None:
        columns = [Column("key", wraps=False, style="bold"), Column("value"), Column("set in")]
        print_table(out, columns, [(line.key, _text(line.value), line.origin) for line in lines])

    payload = {
        "file": context.loaded.path,
        "keys": {line.key: {"value": line.value, "origin": line.origin} for line in lines},
    }
    context.emit("config-show", payload, draw)


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    return str(value)
