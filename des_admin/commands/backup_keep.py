"""`des-admin backup prune` and `restore-plan`: which backups stay, and how one comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.backup_session import BackupSession, Place, Which
from des_admin.commands.backup import DirectoryOption, WhichOption, app
from des_admin.commands.shared_options import DryRunOption
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import Column, print_table
from des_admin.render.values import size, utc
from des_core.basics.errors import CheckFailed, UsageError
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.backup.dump import Stored
    from des_core.backup.prune import KeepRules, PrunePlan


def register(_root: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "des-admin backup prune --keep-last 3 --dry-run",
            "des-admin backup prune --keep-last 3 --keep-daily 7 --keep-weekly 4 --yes",
            note="Only backups that were read just now, down to L2, count as kept. A backup that "
            "the pre-drop checks rely on, or on which the column was dropped, stays. What "
            "has no manifest that holds is never removed, but for what was never finished and "
            "not touched for a day.",
        )
    )(prune)
    app.command(
        "restore-plan",
        epilog=examples(
            "des-admin backup restore-plan > restore.sh",
            "des-admin backup restore-plan 20241101T020000Z_archive_db",
            note="The script is printed, not run. It reads the backup once more, and sets in what "
            "a restore needs: users, an empty database like the old one, then the data. Passwords "
            "are not in it: the tools find them where they always do.",
        ),
    )(restore_plan)


def prune(
    ctx: typer.Context,
    directory: DirectoryOption = None,
    keep_last: Annotated[
        int, typer.Option(min=1, metavar="N", help="The newest N good ones of each database.")
    ] = 3,
    keep_daily: Annotated[
        int, typer.Option(min=0, metavar="N", help="The newest good one of each of N days.")
    ] = 0,
    keep_weekly: Annotated[
        int, typer.Option(min=0, metavar="N", help="The newest good one of each of N weeks.")
    ] = 0,
    dry_run: DryRunOption = False,
    confirm: Annotated[
        int | None,
        typer.Option(metavar="N", help="Irreversible: the number of backups of the plan."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Irreversible: do not ask, for any number.")
    ] = False,
) -> None:
    """Remove old backups; of each database the newest good ones stay. Irreversible."""
    from des_core.backup.prune import KeepRules, execute_prune

    context = Context.of(ctx)
    with BackupSession(context, directory) as session:
        plan = _plan(session, KeepRules(keep_last, keep_daily, keep_weekly))
        if dry_run or not plan.removed:
            context.emit("backup-prune", _payload(plan, done=False), lambda out: _draw(out, plan))
            return
        if not context.wants_json:
            _draw(context.talk, plan)
        removed = len(plan.removed)
        context.prompts.confirm_number(
            f"Remove {numbered(removed, 'backup')} from {session.require_directory()}? This cannot "
            "be undone. Type the number to go on:",
            removed,
            given=removed if yes else confirm,
        )
        gone: list[str] = []
        try:
            gone.extend(item.name for item in execute_prune(plan, now=context.now))
        finally:
            _record(session, plan, gone)
    payload = _payload(plan, done=True)
    context.emit("backup-prune", payload, lambda out: out.print(f"removed: {len(gone)}"))


def restore_plan(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|PATH]", help="Default: of each database the newest that is good."
        ),
    ] = None,
    database: WhichOption = Which.ALL,
    directory: DirectoryOption = None,
) -> None:
    """Print the very commands that restore a backup, as a script."""
    from des_core.backup.restore_plan import restore_script

    context = Context.of(ctx)
    with BackupSession(context, directory) as session:
        chosen = _named(session, name) if name else _newest_good(session, database)
    script = restore_script([(stored, place.url_text) for stored, place in chosen])
    payload = {"backups": [stored.manifest.name for stored, _ in chosen], "script": script}
    context.emit("backup-restore-plan", payload, lambda out: out.file.writelines([script]))


def _named(session: BackupSession, name: str) -> list[tuple[Stored, Place]]:
    from des_core.backup.store import find_backup, load_entry

    path = find_backup(session.directory, name)
    entry = load_entry(path)
    if entry.stored is None:
        raise UsageError(
            f"nothing can be restored from it: {entry.problem}",
            hint="see: des-admin backup list",
            path=str(path),
        )
    return [(entry.stored, session.place_of(entry.stored))]


def _newest_good(session: BackupSession, which: Which) -> list[tuple[Stored, Place]]:
    """One of each database; every other that is newer was read, and is not good."""
    from des_core.backup.keeping import examiner_without_trail
    from des_core.backup.prune import Quality
    from des_core.backup.store import list_backups

    examine = examiner_without_trail(session.context.now)
    entries = list_backups(session.require_directory())
    chosen = []
    for place in session.places(which):
        for entry in session.of_place(place, entries):
            quality, said = examine(entry)
            if quality is Quality.GOOD:
                chosen.append((entry, place))
                break
            session.context.warn(f"{entry.path.name} is not used: {said}")
        else:
            raise CheckFailed(
                f"there is no good backup of the {place.label} database",
                hint="see: des-admin backup list; name one: des-admin backup restore-plan NAME",
                dir=str(session.directory),
            )
    return chosen


def _plan(session: BackupSession, rules: KeepRules) -> PrunePlan:
    """Without the trail nobody knows which backups are relied on: then nothing is removed."""
    from des_core.backup.keeping import examiner_of, names_that_stay
    from des_core.backup.prune import plan_prune
    from des_core.backup.store import list_backups

    context = session.context
    directory = session.require_directory()
    config = session.open(context.settings.config_url).database
    names = [entry.name for entry in list_backups(directory)]
    return plan_prune(
        directory,
        rules,
        examine=examiner_of(config, context.now),
        named=names_that_stay(config, names),
        now=context.now,
    )


def _record(session: BackupSession, plan: PrunePlan, gone: list[str]) -> None:
    from des_core.backup.record import record_pruned

    kept = [item.name for item in plan.judgements if item.name not in gone]
    context = session.context
    session.record(
        lambda config: record_pruned(config, gone, kept, actor=context.actor, now=context.now)
    )


def _payload(plan: PrunePlan, *, done: bool) -> dict[str, object]:
    backups = [
        {
            "name": item.name,
            "database": item.database,
            "data_as_of": item.started_at,
            "size_bytes": item.size_bytes,
            "fate": item.fate,
            "why": item.why,
        }
        for item in plan.judgements
    ]
    return {"done": done, "directory": plan.directory, "backups": backups}


def _draw(out: Console, plan: PrunePlan) -> None:
    columns = [
        *(Column("backup", wraps=False, style="bold"), Column("of"), Column("data as of")),
        *(Column("size", numeric=True), Column("it is"), Column("why")),
    ]
    rows = [
        (item.name, item.database, utc(item.started_at), size(item.size_bytes), item.fate, item.why)
        for item in plan.judgements
    ]
    print_table(out, columns, rows)
