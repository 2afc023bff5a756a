"""`des-admin ledger rebuild`: the ledger from manifests and shards alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from des_admin.commands.shared_options import ReasonOption, YesOption
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import Column, print_facts, print_table
from des_admin.render.values import count, utc
from des_core.basics.errors import CheckFailed
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.ledger.archive_identity import OutputState
    from des_core.reading.ledger_rebuild import RebuildPlan

app = typer.Typer(no_args_is_help=True, help="What was packed, as the database has it.")


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="ledger")


@app.command(
    epilog=examples(
        "des-admin ledger rebuild --dry-run",
        "des-admin ledger rebuild --yes",
        note="For a config database that was lost. Its tables come from des-admin migrate up, "
        "with --seed-at the end that this command shows; then des-admin reconcile finds the rows "
        "that were exceptions. Exit code 4 if a manifest or a shard cannot be used.",
    )
)
def rebuild(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be added, change nothing.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Add to the ledger what lies in the archive and is missing there."""
    from des_admin.render.activity import watch_work
    from des_core.reading.ledger_rebuild import execute_rebuild, plan_rebuild
    from des_core.storage.directory import open_storage
    from watermark_orchestrator.stopping import stop_on_signals

    context = Context.of(ctx)
    storage = open_storage(context.settings.packer.to_config())
    config = context.config_database
    with (
        stop_on_signals(context.say) as stop,
        watch_work(context, "reading the archive", unit="names") as work,
    ):

        def check() -> None:
            stop.check()
            work.advance(1)

        plan = plan_rebuild(storage, config, check=check)
    done = False
    if plan.slices and not dry_run:
        if not context.wants_json:
            _draw(context.talk, plan)
        context.prompts.confirm(f"Add {numbered(plan.shards, 'shard')} to the ledger?", yes=yes)
        execute_rebuild(config, plan, actor=context.actor, run_id=uuid4().hex)
        done = True
    context.emit("ledger-rebuild", _payload(plan, done=done), lambda out: _draw(out, plan))
    if plan.problems:
        raise CheckFailed(
            "some manifests or shards could not be used",
            hint="des-admin verify --repair",
            problems=len(plan.problems),
        )


@app.command(
    epilog=examples(
        "des-admin ledger output",
        "des-admin ledger output --adopt --reason 'restored from the copy of the 3rd'",
        note="The mark lies in packer.output_dir as _archive.json. Exit code 4 if the output is "
        "not this archive's: not mounted, an older copy, or another archive.",
    )
)
def output(
    ctx: typer.Context,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Record that this output is the archive's.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --adopt: compare only, change nothing.")
    ] = False,
    yes: YesOption = False,
    reason: ReasonOption = None,
) -> None:
    """Compare the mark of the output, and its newest shards, with those that the ledger knows."""
    from des_core.ledger.archive_identity import adopt_output, look_at_output
    from des_core.storage.directory import open_storage

    context = Context.of(ctx)
    storage = open_storage(context.settings.packer.to_config())
    config = context.config_database
    if adopt and not dry_run:
        context.prompts.confirm(
            f"Record {storage.output_dir} as the output of this archive?", yes=yes
        )
        adopt_output(config, storage, actor=context.actor, reason=reason)
    state = look_at_output(config, storage)
    payload = {
        "place": state.place,
        "expected": state.expected,
        "found": state.found,
        "newest": list(state.newest),
        "missing": list(state.missing),
        "problem": state.problem,
    }
    context.emit("ledger-output", payload, lambda out: print_facts(out, _output_facts(state)))
    if state.problem is not None:
        raise CheckFailed(state.problem, hint=state.hint)


def _output_facts(state: OutputState) -> list[tuple[str, object]]:
    there = len(state.newest) - len(state.missing)
    return [
        ("output", state.place),
        ("mark in the ledger", state.expected or "none yet: the next run writes it"),
        ("mark in the output", state.found or "none"),
        ("newest shards", f"{count(there)} of {count(len(state.newest))} that were looked for"),
    ]


def _payload(plan: RebuildPlan, *, done: bool) -> dict[str, object]:
    return {
        "done": done,
        "known": plan.known,
        "slices": len(plan.slices),
        "shards": plan.shards,
        "files": plan.files,
        "missing": plan.missing,
        "problems": plan.problems,
        "manifests_end": plan.manifests_end,
    }


def _draw(out: Console, plan: RebuildPlan) -> None:
    if plan.problems:
        columns = [Column("name", wraps=False), Column("problem")]
        print_table(out, columns, sorted(plan.problems.items()))
    print_facts(
        out,
        [
            ("in the ledger", f"{numbered(plan.known, 'shard')}"),
            ("to add", f"{numbered(plan.shards, 'shard')} with {numbered(plan.files, 'file')}"),
            ("in manifests, not there", count(len(plan.missing))),
            ("windows reach to", utc(plan.manifests_end)),
        ],
    )
