"""`des-admin exporter`: the long-lived /metrics, read from the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.options import seconds
from des_core.basics.errors import CheckFailed

if TYPE_CHECKING:
    from des_core.metrics.exporter import Exporter


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin exporter --port 9190",
            "des-admin exporter --once > /var/lib/node_exporter/des.prom",
            note="The endpoint also answers /healthz and /readyz.",
        )
    )(exporter)


def exporter(
    ctx: typer.Context,
    host: Annotated[
        str | None, typer.Option(help="The address to listen on, instead of metrics.host.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The port, instead of metrics.port.", min=0, max=65_535)
    ] = None,
    interval: Annotated[
        float,
        typer.Option(
            metavar="LENGTH",
            parser=seconds(0.1, 3600),
            help="How often the databases are read.",
        ),
    ] = 15.0,
    once: Annotated[
        bool,
        typer.Option("--once", help="Read once, print the metrics and end; listen nowhere."),
    ] = False,
    log_file: Annotated[
        Path | None, typer.Option(help="The log file, instead of logging.file.")
    ] = None,
) -> None:
    """Serve metrics about the archive, read from the ledger and the watermark.

    Runs until it is stopped. A scrape gets what was read last and costs the database nothing.
    """
    from des_core.metrics.exporter import Exporter
    from des_core.process.logs import open_logs
    from des_core.process.secrets import secrets_of

    context = Context.of(ctx)
    given = {"metrics.host": host, "metrics.port": port, "logging.file": log_file}
    context.overrides |= {
        key: str(value) if isinstance(value, Path) else value
        for key, value in given.items()
        if value is not None
    }
    settings = context.settings
    secrets = secrets_of(settings)
    options = context.options
    with open_logs(settings.logging, secrets=secrets, verbose=options.verbose, quiet=options.quiet):
        reader = Exporter(settings, interval_s=interval)
        if once:
            _print_once(context, reader)
        else:
            _serve(context, reader)


def _print_once(context: Context, reader: Exporter) -> None:
    from contextlib import closing

    from prometheus_client import generate_latest

    from des_core.metrics.leave_behind import leave_behind

    with closing(reader):
        problem = reader.read_once()
    context.out.file.write(generate_latest(reader.registry).decode())
    context.out.file.flush()
    leave_behind(reader.registry, context.settings.metrics)
    if problem is not None:
        raise CheckFailed("not everything could be read", hint="see: des-admin doctor")


def _serve(context: Context, reader: Exporter) -> None:
    from threading import Event

    from des_core.metrics.server import serve

    with serve(reader.registry, context.settings.metrics, reader.health) as endpoint:
        context.say(f"metrics: {endpoint.url}")
        reader.run(Event())
