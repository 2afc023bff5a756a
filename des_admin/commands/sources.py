"""`des-admin sources delete`: remove source files that the archive holds, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import print_facts
from des_admin.render.values import count, size, utc
from des_core.basics.errors import DamagedData
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from rich.console import Console

    from watermark_orchestrator.deletion_pass import DeletionPlan, DeletionReport

app = typer.Typer(no_args_is_help=True, help="The source files of what is packed.")


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="sources")


@app.command(
    epilog=examples(
        "des-admin sources delete --dry-run",
        "des-admin sources delete --yes --max-duration 3h",
        note="Needs packer.source_roots. Each shard is read whole and compared with the ledger; "
        "each source is compared with it byte by byte, then unlinked. A source stays if it "
        "differs, changes, lies outside the roots, is an exception, or belongs to another row "
        "that is not packed yet. Interrupted, it goes on from there next time.",
    )
)
def delete(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compare everything, delete nothing.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Look again at shards that kept some sources.")
    ] = False,
    accept_gone: Annotated[
        bool, typer.Option("--accept-gone", help="Continue even if many sources are gone already.")
    ] = False,
    max_duration: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Stop after this time, e.g. 90m or 3h.")
    ] = None,
    confirm: Annotated[
        int | None,
        typer.Option(metavar="N", help="Irreversible: the number of files of the plan."),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Irreversible: do not ask, for any number of files."),
    ] = False,
) -> None:
    """Delete sources whose shards are older than migration.grace_days. Irreversible."""
    from des_core.basics.durations import parse_duration
    from watermark_orchestrator.archive import open_archive
    from watermark_orchestrator.deletion_pass import DeletionLimits
    from watermark_orchestrator.source_deletion import delete_now, look_at_sources, plan_deletion
    from watermark_orchestrator.stopping import stop_on_signals

    context = Context.of(ctx)
    seconds = None if max_duration is None else parse_duration(max_duration).total_seconds()
    with (
        stop_on_signals(context.say) as stop,
        open_archive(context.settings, actor=context.actor) as archive,
    ):
        plan = plan_deletion(archive)
        if dry_run:
            report = look_at_sources(archive, stop=stop)
        else:
            _confirm(context, plan, plan.files if yes else confirm)
            report = delete_now(
                archive,
                again=again,
                limits=DeletionLimits(max_duration_s=seconds, accept_gone=accept_gone),
                stop=stop,
            )
    _emit(context, plan, report, dry_run=dry_run)
    if report.damaged:
        raise DamagedData(
            "shards are damaged; the sources of their files were not touched",
            hint="des-admin verify --repair",
            shards=", ".join(report.damaged[:5]),
        )


def _confirm(context: Context, plan: DeletionPlan, given: int | None) -> None:
    if not context.wants_json:
        print_facts(context.talk, _facts(plan))
    context.prompts.confirm_number(
        "Their sources will be deleted, which cannot be undone. "
        f"Type the number of files to go on ({count(plan.files)}):",
        plan.files,
        given=given,
    )


def _facts(plan: DeletionPlan) -> list[tuple[str, object]]:
    return [
        ("shards", f"{count(plan.shards)} packed before {utc(plan.finished_before)}"),
        ("files", f"{count(plan.files)}, {size(plan.content_bytes)} in them"),
    ]


def _emit(context: Context, plan: DeletionPlan, report: DeletionReport, *, dry_run: bool) -> None:
    payload = {
        "done": not dry_run,
        "finished_before": plan.finished_before,
        "shards": report.shards,
        "files": report.files,
        "size_bytes": report.size_bytes,
        "gone": report.gone,
        "kept": dict(sorted(report.kept.items())),
        "damaged": report.damaged,
        "complete": report.is_complete,
    }

    def draw(out: Console) -> None:
        verb = "would delete" if dry_run else "deleted"
        out.print(
            f"{verb} {numbered(report.files, 'source')}, {size(report.size_bytes)}, "
            f"of {numbered(report.shards, 'shard')}; {count(report.gone)} were gone already"
        )
        for reason, files in sorted(report.kept.items()):
            out.print(f"kept {count(files)}: {reason}")
        if not report.is_complete:
            out.print("the time was over: the next run goes on from here")

    context.emit("sources-delete", payload, draw)
