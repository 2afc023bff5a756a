"""`des-admin status`: what somebody types first. The short form of `progress`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import print_facts
from des_admin.render.values import duration, utc
from des_core.basics.durations import ago
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.progress.now import Progress


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin status",
            note="The whole picture is des-admin progress; what is wrong with the installation, "
            "des-admin doctor.",
        )
    )(status)


def status(ctx: typer.Context) -> None:
    """Show the state in a few lines, with the next step."""
    from des_core.ledger.archive_table import require_same_table
    from des_core.locks.lock import lock_holder
    from des_core.progress.now import read_progress
    from des_core.rows.reader import SourceReader

    context = Context.of(ctx)
    config, settings = context.config_database, context.settings
    source = SourceReader(context.source, settings.database)
    require_same_table(context.source, settings.database.table, config)
    progress = read_progress(config, source, packer=settings.packer.to_config())
    holder = lock_holder(config)
    payload = {
        "archived_until": progress.watermark.archived_until,
        "target": progress.target,
        "behind_seconds": progress.behind,
        "pending_files": progress.pending.files,
        "archived_files": progress.archived.files,
        "not_packed": progress.not_packed,
        "last_finished": progress.packed.last_finished,
        "lock_holder": holder,
        "health": progress.health,
    }
    context.emit("status", payload, lambda out: _draw(out, progress, holder))


def _draw(out: Console, progress: Progress, holder: str | None) -> None:
    from des_admin.render.findings import draw_remarks
    from des_admin.render.progress_view import standing

    draw_remarks(out, progress.health)
    finished = progress.packed.last_finished
    since = "never" if finished is None else ago(progress.now - finished, duration)
    facts = [
        ("archived until", utc(progress.watermark.archived_until)),
        ("behind", standing(progress)),
        ("pending", f"{numbered(progress.pending.files, 'file')}"),
        ("not packed", f"{numbered(progress.not_packed, 'file')}{_where(progress.not_packed)}"),
        ("last packed", since),
        ("at work", f"{holder} (des-admin lock show)" if holder else "nobody"),
    ]
    print_facts(out, facts)


def _where(not_packed: int) -> str:
    return " (des-admin exceptions list)" if not_packed else ""
