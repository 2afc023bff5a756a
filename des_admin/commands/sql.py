"""`des-admin sql list|show`: the statements that the program runs, ready for psql and the like."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import Column, print_table
from des_core.basics.errors import UsageError
from des_core.basics.identifiers import Dialect
from des_core.database.roles import Place, Role

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.database.catalog import Catalog, Statement
    from des_core.database.grants import GrantScript
    from des_core.database.script import ClientScript

app = typer.Typer(no_args_is_help=True, help="Read the SQL that this program runs.")

DialectOption = Annotated[
    Dialect | None,
    typer.Option(help="Another dialect than the one of the configured database."),
]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="sql")


@app.command("list", epilog=examples("des-admin sql list --dialect mysql"))
def list_statements(ctx: typer.Context, dialect: DialectOption = None) -> None:
    """List every statement with its purpose and the index that carries it."""
    context = Context.of(ctx)
    statements = list(_catalog(context, dialect).list())

    def draw(out: Console) -> None:
        columns = [Column("name", wraps=False, style="bold"), Column("purpose"), Column("index")]
        print_table(out, columns, [(s.name, s.purpose, s.index) for s in statements])

    payload = {"statements": [_as_dict(statement) for statement in statements]}
    context.emit("sql-list", payload, draw)


@app.command(
    epilog=examples(
        "des-admin sql show watermark_read | psql archive_db",
        "des-admin sql show window_stats --param start_at=2024-11-01 --param end_at=2024-11-02",
    )
)
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name of the statement, from `sql list`.")],
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Fill in a parameter as a literal, quoted safely. Repeat for more. "
            "'007' in quotes stays text.",
        ),
    ] = None,
    dialect: DialectOption = None,
) -> None:
    """Print one statement, ready for psql, mariadb or sqlite3.

    Parameters without a value become variables of the client; a comment says how to set them.
    """
    from des_core.database.script import script_for_client

    context = Context.of(ctx)
    catalog = _catalog(context, dialect)
    statement = _find(catalog, name)
    script = script_for_client(statement, catalog.dialect, _values(param or []))
    context.emit(
        "sql-show",
        _as_dict(statement) | {"client": script.client, "script": script.text},
        lambda out: _print_script(out, script),
    )


def _find(catalog: Catalog, name: str) -> Statement:
    found = {statement.name: statement for statement in catalog.list()}
    if name not in found:
        near = difflib.get_close_matches(name, found, 1)
        raise UsageError(
            f"there is no statement {name!r} for {catalog.dialect}",
            hint=f"did you mean {near[0]}?" if near else "list them: des-admin sql list",
        )
    return found[name]


@app.command(
    epilog=examples(
        "des-admin sql grants runner --to des_runner | psql archive_db",
        "des-admin sql grants admin --to des_admin --owner app",
        note="Create the users first. Grant again after a migration has made the tables anew.",
    )
)
def grants(
    ctx: typer.Context,
    role: Annotated[Role, typer.Argument(help="Who is to work on the archive.")],
    to: Annotated[str, typer.Option(metavar="USER", help="The user; on MySQL NAME or NAME@HOST.")],
    owner: Annotated[
        str | None,
        typer.Option(metavar="ROLE", help="PostgreSQL, for the admin: the owner of files."),
    ] = None,
    database: Annotated[
        Place | None, typer.Option(help="Only the grants in this database, if there are two.")
    ] = None,
) -> None:
    """Print the grants that one role needs, and no more, for a DBA to run.

    runner: packs. exporter: looks. admin: migrates, corrects, repairs.
    """
    from des_core.database.grants import make_grants

    context = Context.of(ctx)
    scripts = [
        script
        for script in make_grants(context.settings, role, to, owner=owner)
        if database in (None, script.place)
    ]

    def draw(out: Console) -> None:
        for script in scripts:
            out.file.write(f"-- in the {script.place} database: {script.purpose}\n{script.text}\n")

    payload = {"role": role, "user": to, "scripts": [_grants_as_dict(s) for s in scripts]}
    context.emit("sql-grants", payload, draw)


def _grants_as_dict(script: GrantScript) -> dict[str, object]:
    from des_core.database.script import CLIENTS

    return {
        "database": script.place,
        "client": CLIENTS[script.dialect],
        "purpose": script.purpose,
        "script": script.text,
    }


def _print_script(out: Console, script: ClientScript) -> None:
    # Not through rich: a script must come out to the byte, whatever the width.
    out.file.write(script.text + "\n")


def _values(params: list[str]) -> dict[str, str]:
    values = {}
    for text in params:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--param wants NAME=VALUE, not {text!r}")
        values[name] = value
    return values


def _catalog(context: Context, dialect: Dialect | None) -> Catalog:
    """The catalogue for this configuration; without one, for a dialect and the usual names."""
    from des_core.basics.database_urls import dialect_of
    from des_core.basics.errors import ConfigError
    from des_core.database.catalog import Catalog
    from des_core.settings.config import DatabaseSettings

    try:
        settings = context.settings.database
    except ConfigError:
        if dialect is None or context.options.config is not None:
            raise
        settings = DatabaseSettings.model_validate({"url": "sqlite:////dev/null"})
    return Catalog(dialect or dialect_of(settings.url.get_secret_value()), settings)


def _as_dict(statement: Statement) -> dict[str, object]:

    return {
        "name": statement.name,
        "purpose": statement.purpose,
        "index": statement.index,
        "touches": statement.touches,
        "parameters": list(statement.parameters),
        "sql": statement.sql,
    }
