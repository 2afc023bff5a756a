"""`des-admin plan compression`: which level pays, with a dictionary and without."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.options import require_numbers
from des_admin.render.tables import Column, print_table
from des_admin.render.values import count, duration, size

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.packing.compression_plan import CompressionPlan, Pending, Way
    from des_core.rows.reader import SourceReader

RECENT_DAYS = 28
# No server's times begin later.
EVER = datetime(1000, 1, 3, tzinfo=UTC)
EPILOG = examples(
    "des-admin plan compression",
    "des-admin plan compression --price-tb-month 23 --cores 8",
    "des-admin plan compression --seed 2 --output json",
    note="It reads up to 2,048 rows of each of six days, and their files up to 6 MiB a day, with "
    "the rights and roots of the runner. The levels from 9 on are tried on 2 MiB. Nothing is "
    "written: no dictionary, no row.",
)


def compression(
    ctx: typer.Context,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Which days are chosen; the same N, the same.")
    ] = 1,
    cores: Annotated[
        int | None,
        typer.Option(min=1, max=65_536, metavar="N", help="Cores that pack; this machine's."),
    ] = None,
    file_us: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="US", help="Core time of a file apart from compression."),
    ] = None,
    price_tb_month: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="P", help="Of a TB (10^12 bytes) kept for a month."),
    ] = None,
) -> None:
    """Try none and zstd 1 to 19, with a dictionary and without, on some pending files."""
    from des_core.basics.errors import CheckFailed
    from des_core.packing.compression_plan import FILE_S, plan_compression
    from des_core.process.processors import usable_processors
    from des_core.rows.reader import SourceReader
    from des_core.sources.roots import require_named_roots

    require_numbers(ctx.params)
    context = Context.of(ctx)
    require_named_roots(context.settings.packer.source_roots)
    source = SourceReader(context.source, context.settings.database)
    config = context.settings.packer_config
    found = plan_compression(
        source,
        config,
        _pending(context, source),
        seed=seed,
        cores=cores or config.workers or usable_processors(),
        file_s=FILE_S if file_us is None else file_us / 1e6,
        price_per_tb=price_tb_month,
    )
    if not found.files:
        raise CheckFailed(
            "there is no pending file that can be read, so nothing was tried",
            hint="des-admin progress says what waits; des-admin doctor looks at the oldest file",
            unreadable=found.unreadable,
        )
    context.emit("plan-compression", {"seed": seed, "plan": found}, lambda out: _draw(out, found))


def _pending(context: Context, source: SourceReader) -> Pending:
    """From the watermark to the target; without a watermark, every row up to now."""
    from des_core.backup.numbers import WATERMARK_TABLE
    from des_core.ledger.watermark import compute_target, read_watermark
    from des_core.migration.state.tables import has_table
    from des_core.packing.compression_plan import Pending
    from des_core.rows.amounts import count_waiting

    clock = source.clock()
    start, end = EVER, clock.now
    if has_table(context.config_database, WATERMARK_TABLE):
        with context.config_database.read() as tx:
            watermark = read_watermark(tx)
        start = watermark.archived_until
        target = compute_target(clock.now, watermark.lag_days, clock.oldest_transaction)
        end = max(start, target)
    waiting = count_waiting(source, start, end)
    first = source.first_created_at(start, end)
    begin = end - timedelta(days=RECENT_DAYS)
    days = RECENT_DAYS if first is None else max(1, min(RECENT_DAYS, (end - first).days + 1))
    recent = count_waiting(source, begin, end).files or 0
    files = waiting.files or 0
    last = source.last_created_at(start, end)
    return Pending(first or start, last or end, files, waiting.size_bytes, recent / days)


def _draw(out: Console, plan: CompressionPlan) -> None:
    columns = [
        Column("way", wraps=False, style="bold"),
        Column("ratio", numeric=True),
        Column("CPU a file", numeric=True),
        Column("pending", numeric=True),
        Column("takes", numeric=True),
        Column("a year", numeric=True),
        Column("takes", numeric=True),
    ]
    is_priced = plan.ways[0].price_pending is not None
    if is_priced:
        columns += [Column("a month", numeric=True), Column("after a year", numeric=True)]
    columns.append(Column("", wraps=False))
    print_table(out, columns, [_cells(way, is_priced=is_priced) for way in plan.ways])
    pending = plan.pending
    out.print(
        f"tried on {count(plan.files)} files ({size(plan.content_bytes)}) of {count(plan.days)} "
        f"days; pending are {count(pending.files)} ({size(pending.content_bytes)}), and "
        f"{count(round(pending.files_per_day))} come a day",
        markup=False,
    )
    if plan.unreadable:
        out.print(f"{count(plan.unreadable)} files could not be read", markup=False)
    out.print("best: no other way is both smaller and faster", markup=False)


def _cells(way: Way, *, is_priced: bool) -> tuple[object, ...]:
    cells: list[object] = [
        _name(way),
        f"{way.ratio:.2f}",
        f"{way.cpu_us:,.0f} us",
        size(way.pending_bytes),
        duration(way.pending_s),
        size(way.year_bytes),
        duration(way.year_s),
    ]
    if is_priced:
        cells += [f"{way.price_pending:,.2f}", f"{way.price_year:,.2f}"]
    return (*cells, "best" if way.is_best else "")


def _name(way: Way) -> str:
    if way.level is None:
        return way.codec
    return f"{way.codec} {way.level}" + (", dictionary" if way.dictionary else "")
