"""`des-admin plan`: capacity, and compression. How far one will reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.commands import plan_compression
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.options import require_numbers
from des_admin.render.tables import print_facts
from des_admin.render.values import count, duration, share, size
from des_core.basics.object_config import is_object_url
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from des_core.progress.capacity import Capacity, Prices

app = typer.Typer(no_args_is_help=True, help="Estimate capacity and compression; changes nothing.")

_LOAD, _SITE, _RATES, _PRICES = "What there is to do", "With what", "What was measured", "Prices"

FilesOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="New files in a day.", rich_help_panel=_LOAD)
]
MeanSizeOption = Annotated[
    int,
    typer.Option(min=0, metavar="BYTES", help="Their mean size.", rich_help_panel=_LOAD),
]
PendingOption = Annotated[
    int, typer.Option(min=0, metavar="N", help="Files that wait.", rich_help_panel=_LOAD)
]
RatioOption = Annotated[
    float,
    typer.Option(min=0.01, metavar="R", help="How well they compress.", rich_help_panel=_LOAD),
]
BitsOption = Annotated[
    int, typer.Option(min=4, max=16, help="packer.n_bits.", rich_help_panel=_LOAD)
]
WorkersOption = Annotated[
    int, typer.Option(min=1, max=65_536, help="Sharded workers.", rich_help_panel=_SITE)
]
CoresOption = Annotated[
    int, typer.Option(min=1, max=4096, help="Cores of each.", rich_help_panel=_SITE)
]
SourcesOption = Annotated[
    str,
    typer.Option(
        metavar="PLACE", help="Where the files are; s3:// is enough.", rich_help_panel=_SITE
    ),
]
OutputOption = Annotated[
    str,
    typer.Option(
        metavar="PLACE", help="Where the shards go; s3:// is enough.", rich_help_panel=_SITE
    ),
]
LatencyOption = Annotated[
    float,
    typer.Option(min=0.0, metavar="MS", help="Of a request to the store.", rich_help_panel=_SITE),
]
InFlightOption = Annotated[
    int,
    typer.Option(min=1, max=1024, metavar="N", help="Of each process.", rich_help_panel=_SITE),
]
NetworkOption = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        metavar="MIB",
        help="What a worker's network carries in a second; enough, if not given.",
        rich_help_panel=_SITE,
    ),
]
UnfilteredOption = Annotated[
    bool,
    typer.Option(
        "--unfiltered",
        help="Every worker reads all rows (run --dry-run tells).",
        rich_help_panel=_SITE,
    ),
]
FileOption = Annotated[
    float | None,
    typer.Option(min=0.0, metavar="US", help="Core time for a file.", rich_help_panel=_RATES),
]
MibOption = Annotated[
    float | None,
    typer.Option(
        min=0.0, metavar="MS", help="Core time for a MiB of content.", rich_help_panel=_RATES
    ),
]
RowsOption = Annotated[
    float | None,
    typer.Option(min=1.0, metavar="N", help="Rows that one session reads.", rich_help_panel=_RATES),
]
WritesOption = Annotated[
    float,
    typer.Option(min=0.0, metavar="P", help="Of 1,000 PUTs.", rich_help_panel=_PRICES),
]
ReadsOption = Annotated[
    float,
    typer.Option(min=0.0, metavar="P", help="Of 1,000 GETs or LISTs.", rich_help_panel=_PRICES),
]
StorageOption = Annotated[
    float,
    typer.Option(min=0.0, metavar="P", help="Of a GiB kept for a month.", rich_help_panel=_PRICES),
]


def register(root: typer.Typer) -> None:
    app.command(epilog=plan_compression.EPILOG)(plan_compression.compression)
    root.add_typer(app, name="plan")


@app.command(
    epilog=examples(
        "des-admin plan capacity --files-per-day 1000000 --mean-size 50000",
        "des-admin plan capacity --files-per-day 30000000 --mean-size 50000 --workers 8 --cores 4 "
        "--pending 10000000000 --sources s3:// --output-dir s3://",
        note="The formulas are in docs/scaling.md. The rates are those of one machine of the "
        "project; measure yours with a run over a day of your own files.",
    )
)
def capacity(
    ctx: typer.Context,
    files_per_day: FilesOption,
    mean_size: MeanSizeOption,
    pending: PendingOption = 0,
    ratio: RatioOption = 3.0,
    n_bits: BitsOption = 8,
    workers: WorkersOption = 1,
    cores: CoresOption = 2,
    sources: SourcesOption = "/",
    output_dir: OutputOption = "/",
    latency_ms: LatencyOption = 20.0,
    requests_in_flight: InFlightOption = 64,
    network_mib_s: NetworkOption = None,
    unfiltered: UnfilteredOption = False,
    file_us: FileOption = None,
    mib_ms: MibOption = None,
    rows_per_s: RowsOption = None,
    price_writes: WritesOption = 0.0,
    price_reads: ReadsOption = 0.0,
    price_gib_month: StorageOption = 0.0,
) -> None:
    """Say how many files a second a site can pack, what bounds it, and what that costs."""
    from dataclasses import replace

    from des_core.progress.capacity import Load, Prices, Rates, Site, plan_capacity

    require_numbers(ctx.params)
    load = Load(files_per_day, mean_size, pending, ratio, n_bits)
    site = Site(
        workers=workers,
        cores=cores,
        is_filtered=not unfiltered,
        sources_in_store=is_object_url(sources),
        output_in_store=is_object_url(output_dir),
        latency_s=latency_ms / 1000,
        requests_in_flight=requests_in_flight,
        network_mib_s=network_mib_s,
    )
    given = {
        "file_s": None if file_us is None else file_us / 1e6,
        "mib_s": None if mib_ms is None else mib_ms / 1000,
        "rows_per_s": rows_per_s,
    }
    rates = replace(Rates(), **{name: value for name, value in given.items() if value is not None})
    prices = Prices(price_writes, price_reads, price_gib_month)
    found = plan_capacity(load, site, rates, prices)
    payload = {"capacity": found, "bound_by": found.day.bound_by, "rates": rates}
    context = Context.of(ctx)
    context.emit("plan-capacity", payload, lambda out: print_facts(out, facts(found, prices)))


def facts(found: Capacity, prices: Prices) -> list[tuple[str, object]]:
    """The answer in words."""
    lines: list[tuple[str, object]] = [
        ("rate", f"{count(round(found.files_per_s))} files/s, bounded by {found.day.bound_by}"),
        ("a day's files", f"take {duration(found.day.seconds)}: {_parts(found)}"),
        ("busy", f"{share(min(found.utilisation, 1.0), 1)} of the time once caught up"),
        ("catching up", _catching_up(found)),
        ("database", f"{count(round(found.rows_read_per_s))} rows/s read while packing"),
        (
            "ledger",
            f"{numbered(found.ledger_rows_per_day, 'row')} a day, "
            f"{size(found.ledger_bytes_per_year)} a year",
        ),
        (
            "shards",
            f"{count(found.shards_per_day)} and {size(found.shard_bytes_per_day)} a day",
        ),
    ]
    requests = found.requests
    if requests.reads or requests.writes:
        words = f"{count(requests.writes)} PUT, {count(requests.reads)} GET, "
        lines.append(("requests", f"{words}{count(requests.lists)} LIST a day"))
    if prices.per_1000_writes or prices.per_1000_reads or prices.per_gib_month:
        kept = found.storage_price_per_month_after_a_year
        words = f"requests {found.request_price_per_month:,.2f} a month"
        lines.append(("price", f"{words}; storage {kept:,.2f} a month after a year"))
    return lines


def _parts(found: Capacity) -> str:
    day = found.day
    parts = {
        "rows": day.reading_s,
        "cores": day.computing_s,
        "requests": day.requesting_s,
        "network": day.transferring_s,
        "fixed": day.fixed_s,
    }
    return ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts.items() if seconds)


def _catching_up(found: Capacity) -> str:
    if found.catch_up_s is None:
        return "never: more files come than can be packed"
    return duration(found.catch_up_s) if found.catch_up_s else "nothing is pending"
