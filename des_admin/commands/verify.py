"""`des-admin verify`: every shard against ledger and checksums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import Column, print_table
from des_admin.render.values import count, size
from des_core.errors import DamagedData

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.verify import VerifyReport


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin verify",
            "des-admin verify --sample 5%",
            note="Exit code 20 if a shard is missing, damaged or cannot be read. Shards that the "
            "ledger does not know (packed the per-record way) are checked by their own checksums.",
        )
    )(verify)


def verify(
    ctx: typer.Context,
    sample: Annotated[
        str | None,
        typer.Option(metavar="N|P%", help="Only so many shards, or such a part, by chance."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Shards read at a time.")] = 4,
) -> None:
    """Read every shard whole and compare it with the ledger."""
    from des_admin.render.activity import watch_work
    from des_core.storage import DirectoryStorage
    from des_core.verify import choose_sample, list_tasks, verify_shards

    context = Context.of(ctx)
    storage = DirectoryStorage(context.settings.packer.output_dir)
    tasks = choose_sample(list_tasks(storage, context.config_database), sample)
    with watch_work(context, "verify", len(tasks), unit="shards") as work:
        report = verify_shards(
            storage,
            tasks,
            on_verdict=lambda item: work.advance(1, item.size_bytes),
            threads=threads,
        )
    payload = {
        "sound": report.is_sound,
        "shards": report.shards,
        "files": report.files,
        "size_bytes": report.size_bytes,
        "extra": report.extra,
        "findings": report.findings,
    }
    context.emit("verify", payload, lambda out: _draw(out, report))
    if not report.is_sound:
        raise DamagedData(
            "the archive is not sound",
            hint="keep the damaged files; see RUNBOOK.md, damaged shard",
            shards=len(report.findings),
        )


def _draw(out: Console, report: VerifyReport) -> None:
    if report.findings:
        columns = [Column("shard", wraps=False), Column("verdict", wraps=False), Column("problem")]
        print_table(out, columns, [(f.shard, f.verdict, f.problem) for f in report.findings])
    out.print(
        f"{count(report.shards)} shards, {count(report.files)} files, {size(report.size_bytes)} "
        f"read; {count(len(report.findings))} not sound; {count(report.extra)} not in the ledger"
    )
