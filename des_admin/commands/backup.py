"""`des-admin backup`: make one, check one, list them."""

from __future__ import annotations

from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from des_admin.backup_checks import DAY_S, CheckRequest, check_new, run_checks
from des_admin.backup_session import BackupSession, Place, Which
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.backup_progress import show_progress
from des_core.basics.errors import DatabaseUnreachable, DesError, ExitCode

if TYPE_CHECKING:
    from des_core.backup.create import CreateOptions
    from des_core.backup.dump import Stored
    from des_core.backup.findings import CheckReport

app = typer.Typer(
    no_args_is_help=True,
    help="Make backups that can be trusted, check them, list them.",
)
NAGIOS_S = 60.0
LEVELS = (
    "Levels: L0 takes a moment (there, whole, fresh, of this database), L1 reads every byte, L2 "
    "reads it with the database's own tool, L3 (--deep) restores it into a scratch database and "
    "counts. A level that was not run is shown as skipped."
)


class LayoutOption(StrEnum):
    """How pg_dump writes."""

    CUSTOM = "custom"
    DIRECTORY = "directory"


class CompressOption(StrEnum):
    """How a dump is compressed."""

    AUTO = "auto"
    ZSTD = "zstd"
    GZIP = "gzip"
    NONE = "none"


class ToolOption(StrEnum):
    """Who made the backup, if not we."""

    PGBACKREST = "pgbackrest"
    BARMAN = "barman"
    WAL_G = "wal-g"
    MYDUMPER = "mydumper"


class CheckOutput(StrEnum):
    """How a check is printed."""

    TABLE = "table"
    JSON = "json"
    NAGIOS = "nagios"


DirectoryOption = Annotated[
    Path | None, typer.Option("--dir", metavar="DIR", help="Instead of backup.dir.")
]
WhichOption = Annotated[
    Which, typer.Option("--database", help="Only this one, if two databases are used.")
]
JobsOption = Annotated[int, typer.Option(min=1, max=64, help="Processes at once.")]
ToolNameOption = Annotated[
    ToolOption | None,
    typer.Option(help="Ask the tool that made it: NAME is its stanza, server or directory."),
]
AnswerOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Read the tool's answer here, - is stdin. Repeat."),
]
TimeoutOption = Annotated[
    str | None,
    typer.Option(metavar="LENGTH", help="Give up after this time. Default: nagios 60s, tools 24h."),
]
DeepOption = Annotated[
    bool, typer.Option("--deep", help="Restore into a scratch database and compare: level 3.")
]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="backup")


@app.command(
    epilog=examples(
        "des-admin backup create",
        "des-admin backup create --format directory --jobs 4 --deep",
        note="The numbers of the tables are counted in the dump's own snapshot and kept beside it. "
        "The new backup is checked at once, and the result recorded.",
    )
)
def create(
    ctx: typer.Context,
    database: WhichOption = Which.ALL,
    directory: DirectoryOption = None,
    format_: Annotated[
        LayoutOption | None,
        typer.Option("--format", help="PostgreSQL only: one file, or one per table."),
    ] = None,
    tables: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE", help="Only this table; repeat it, or separate by commas."),
    ] = None,
    jobs: JobsOption = 1,
    compress: Annotated[
        CompressOption, typer.Option(help="auto is what suits the database.")
    ] = CompressOption.AUTO,
    deep: DeepOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show databases and directory, change nothing.")
    ] = False,
) -> None:
    """Make a backup of the source and the config database, and check it."""
    from des_core.backup.create import CreateOptions
    from des_core.backup.dump import Layout, Squeeze

    context = Context.of(ctx)
    reports = []
    with BackupSession(context, directory) as session:
        options = CreateOptions(
            directory=session.require_directory(),
            layout=None if format_ is None else Layout(format_),
            squeeze=Squeeze(compress),
            tables=_split(tables),
            jobs=jobs,
            lock_timeout_s=context.settings.migration.lock_timeout,
        )
        if dry_run:
            _preview(session, database)
            return
        session.take_up()
        for place in session.places(database):
            stored = _create_one(session, place, options)
            if stored is not None:
                reports.append(check_new(session, stored, level=3 if deep else 2, jobs=jobs))
    _show(context, "backup-create", reports)
    _finish(context, reports)


@app.command(
    epilog=examples(
        "des-admin backup check",
        "des-admin backup check 20241101T020000Z_archive_db --deep",
        "des-admin backup check --level 1 --output nagios",
        "des-admin backup check --tool pgbackrest main",
        "ssh backups barman -f json show-backup main latest | "
        "des-admin backup check --tool barman main --answer -",
        note=LEVELS,
    )
)
def check(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|PATH]...", help="Default: the newest of each database."),
    ] = None,
    database: WhichOption = Which.ALL,
    directory: DirectoryOption = None,
    level: Annotated[int, typer.Option(min=0, max=3, help="How deep to look.")] = 2,
    deep: DeepOption = False,
    jobs: JobsOption = 1,
    max_age: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Instead of backup.max_age_hours.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Compare with no live database, record nothing.")
    ] = False,
    tool: ToolNameOption = None,
    tool_option: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Put before the tool's verb, as --config=FILE. Repeat."),
    ] = None,
    answer: AnswerOption = None,
    timeout: TimeoutOption = None,
    output: Annotated[
        CheckOutput | None,
        typer.Option(help="nagios: one line, exit codes 0 to 3. Default: the global --output."),
    ] = None,
) -> None:
    """Check backups. Findings name the next command to type; exit code 4 if any is an error."""
    from des_core.basics.durations import hours_of, parse_duration
    from des_core.ledger.outcomes import BACKUP
    from des_core.process.limits import time_limit

    context = Context.of(ctx)
    form = output or CheckOutput(context.options.output.value)
    limit_s = None if timeout is None else parse_duration(timeout).total_seconds()
    request = CheckRequest(
        names=tuple(names or ()),
        which=database,
        level=3 if deep else level,
        jobs=jobs,
        max_age_hours=None if max_age is None else hours_of(max_age),
        offline=offline,
        tool=None if tool is None else tool.value,
        tool_options=tuple(tool_option or ()),
        answers=tuple(answer or ()),
        timeout_s=limit_s or DAY_S,
    )
    if form is CheckOutput.NAGIOS:
        with time_limit(limit_s or NAGIOS_S):
            _check_for_nagios(context, directory, request)
    with nullcontext() if offline else context.remembered(BACKUP):
        with time_limit(limit_s), BackupSession(context, directory) as session:
            reports = run_checks(session, request)
        _show(context, "backup-check", reports, as_json=form is CheckOutput.JSON)
        _finish(context, reports)


@app.command(
    "list", epilog=examples("des-admin backup list", "des-admin backup list --output json")
)
def list_(ctx: typer.Context, directory: DirectoryOption = None) -> None:
    """List the backups, newest first, with the last recorded check of each."""
    from des_admin.render.backup_view import draw_list, list_json
    from des_core.backup.record import last_checks
    from des_core.backup.store import list_backups

    context = Context.of(ctx)
    with BackupSession(context, directory) as session:
        entries = list_backups(session.require_directory())
        try:
            checks = last_checks(session.open(context.settings.config_url).database)
        except DatabaseUnreachable as exc:
            context.warn(f"recorded checks are not shown: {exc.message}")
            checks = []
    by_hash = {check.manifest_sha256: check for check in checks if check.manifest_sha256}
    context.emit(
        "backup-list",
        list_json(entries, by_hash),
        lambda out: draw_list(out, entries, by_hash, context.now),
    )


def _preview(session: BackupSession, database: Which) -> None:
    from des_admin.render.tables import print_facts
    from des_core.basics.database_urls import database_name

    places = [
        (database_name(place.url_text), f"{place.label} database, into {session.directory}")
        for place in session.places(database)
    ]
    payload: dict[str, object] = {"backups": []}
    session.context.emit("backup-create", payload, lambda out: print_facts(out, places))


def _create_one(session: BackupSession, place: Place, options: CreateOptions) -> Stored | None:
    """None where the config database is a file that is not there yet."""
    from des_core.backup.create import create_backup

    context = session.context
    if place.roles == ("config",) and _is_missing_file(place.url_text):
        context.say("the config database is not there yet: only the source is backed up")
        return None
    target = session.open(place.url_text)
    with show_progress(context) as listener:
        return create_backup(
            target,
            context.settings.database,
            place.roles,
            options,
            clock=lambda: context.now,
            listener=listener,
        )


def _is_missing_file(url_text: str) -> bool:
    from des_core.backup.identity import name_of_url

    dialect, name = name_of_url(url_text)
    return dialect == "sqlite" and not Path(name).exists()


def _check_for_nagios(context: Context, directory: Path | None, request: CheckRequest) -> NoReturn:
    """A plugin answers in its own way, also where it cannot check at all."""
    from des_admin.render.backup_view import nagios_error, nagios_text

    try:
        with BackupSession(context, directory) as session:
            reports = run_checks(session, request)
            allowed = request.max_age_hours or context.settings.backup.max_age_hours
        text, code = nagios_text(reports, allowed)
    except DesError as exc:
        text, code = nagios_error(str(exc)), 3
    context.out.file.write(text + "\n")
    raise typer.Exit(code)


def _show(
    context: Context, command: str, reports: list[CheckReport], *, as_json: bool | None = None
) -> None:
    from des_admin.render.backup_view import draw_report, report_json
    from des_admin.render.json import to_json

    wants_json = context.wants_json if as_json is None else as_json
    if wants_json:
        payload = {"backups": [report_json(report) for report in reports]}
        context.out.file.write(to_json(command, payload) + "\n")
        return
    for number, report in enumerate(reports):
        if number:
            context.out.print()
        draw_report(context.out, report)


def _finish(context: Context, reports: list[CheckReport]) -> None:
    from des_core.backup.findings import Status

    if any(report.status not in (Status.OK, Status.WARNING) for report in reports):
        context.finish(ExitCode.REFUSED)


def _split(tables: list[str] | None) -> tuple[str, ...] | None:
    if not tables:
        return None
    return tuple(name.strip() for part in tables for name in part.split(",") if name.strip())
