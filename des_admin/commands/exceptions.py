"""`des-admin exceptions`: files for which the watermark's answer is wrong, and what to do."""

from __future__ import annotations

from enum import StrEnum
from heapq import nlargest
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.sections import to_csv, to_markdown
from des_admin.render.tables import print_facts
from des_admin.render.values import count
from des_core.basics.errors import UsageError

if TYPE_CHECKING:
    from des_core.ledger.exception_edits import ExceptionFilter
    from des_core.ledger.exceptions import OpenException


class Format(StrEnum):
    """How the list is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


class GroupChoice(StrEnum):
    """As `GroupBy` of the domain, which the help must not import."""

    REASON = "reason"
    DIRECTORY = "directory"
    DAY = "day"


class Columns(StrEnum):
    """How much of each exception is shown."""

    NARROW = "narrow"
    WIDE = "wide"


app = typer.Typer(
    no_args_is_help=True,
    help="Files for which the watermark's answer is wrong: list, try again, close.",
)
FIELDS = (
    *("uid", "created_at", "reason", "archived", "attempts", "location", "last_error"),
    *("first_seen", "last_seen", "next_attempt"),
)

GROUP_FIELDS = (*("reason", "key", "files", "below", "absent", "example", "oldest", "last_seen"),)

OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="REASON", help="Only this reason, e.g. missing. Repeat it."),
]
UidsOption = Annotated[
    list[str] | None, typer.Option("--uid", metavar="UID", help="Only this file. Repeat it.")
]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="exceptions")


@app.command(
    "list",
    epilog=examples(
        "des-admin exceptions list",
        "des-admin exceptions list --group-by directory",
        "des-admin exceptions list --only missing -o wide",
        "des-admin exceptions list --only missing --format csv --limit 100000",
    ),
)
def list_open(
    ctx: typer.Context,
    only: OnlyOption = None,
    uid: UidsOption = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="How many at most, the newest first: 7 in a table, else 100."),
    ] = None,
    group_by: Annotated[
        GroupChoice | None,
        typer.Option("--group-by", help="Only the groups, by what their files have in common."),
    ] = None,
    columns: Annotated[
        Columns, typer.Option("-o", "--columns", help="Wide: also times and errors.")
    ] = Columns.NARROW,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Default: the format of --output.")
    ] = None,
) -> None:
    """List open exceptions: what they have in common, then the newest with their paths."""
    from des_admin.render.exceptions_view import exception_sections, group_rows
    from des_admin.render.json import to_json
    from des_core.ledger.exception_edits import find_open
    from des_core.ledger.exception_groups import GroupBy, group_exceptions
    from des_core.ledger.exceptions import count_open

    context = Context.of(ctx)
    config = context.config_database
    items = list(find_open(config, exception_filter(only, uid)))
    if not items:
        require_known_reasons(only)
    by = GroupBy((group_by or GroupChoice.REASON).value)
    groups = group_exceptions(items, by)
    form = format_ or (Format.JSON if context.wants_json else Format.TABLE)
    limit = limit or (7 if form is Format.TABLE else 100)
    found = nlargest(limit, items, key=lambda item: (item.last_seen, item.exception_id))
    with config.read() as tx:
        counts = count_open(tx)
    if form is Format.JSON:
        payload = {"by_reason": counts, "groups": groups, "exceptions": found}
        context.out.file.write(to_json("exceptions-list", payload) + "\n")
    elif form is Format.CSV and group_by is None:
        context.out.file.write(to_csv(FIELDS, [_csv_row(item) for item in found]))
    elif form is Format.CSV:
        context.out.file.write(to_csv(GROUP_FIELDS, group_rows(groups)))
    else:
        sections = exception_sections(
            groups,
            [] if group_by else found,
            by,
            is_wide=columns is Columns.WIDE,
            all_of_them=counts if only or uid else None,
        )
        text = to_markdown(sections) if form is Format.MARKDOWN else context.drawn(sections)
        context.out.file.write(text)
    if group_by is None and len(found) < len(items):
        shown = f"only the newest {count(limit)} of {count(len(items))} are shown"
        context.say(f"{shown}: raise --limit to see more")


@app.command(
    epilog=examples(
        "des-admin exceptions resolve --uid 4711 --reason 'deleted on request, ticket 12'",
        "des-admin exceptions resolve --only missing --reason 'lost before 2020' --confirm 17",
    )
)
def resolve(
    ctx: typer.Context,
    only: OnlyOption = None,
    uid: UidsOption = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why; goes into the audit trail. Required.")
    ] = None,
    confirm: Annotated[
        int | None, typer.Option(metavar="N", help="How many are closed, as confirmation.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be closed, change nothing.")
    ] = False,
) -> None:
    """Close exceptions without packing: from then on their files read as archived.

    For files that are gone for good and that somebody has accounted for.
    """
    from des_core.ledger.exception_edits import execute_resolve, plan_resolve

    context = Context.of(ctx)
    if not only and not uid:
        raise UsageError(
            "name the exceptions: --only or --uid", hint="see: des-admin exceptions list"
        )
    if reason is None and not dry_run and not context.prompts.somebody_is_there:
        raise _no_reason()
    plan = plan_resolve(context.config_database, exception_filter(only, uid))
    if not plan.files:
        require_known_reasons(only)
    payload = {"done": False, "files": plan.files, "by_reason": plan.by_reason}
    if dry_run or not (plan.files or confirm):
        context.emit(
            "exceptions-resolve", payload, lambda out: print_facts(out, _facts(plan.by_reason))
        )
        return
    context.show_plan(_facts(plan.by_reason), yes=confirm is not None)
    context.prompts.confirm_number(
        f"Close {plan.files:,} exceptions? Their files will count as archived. Type the number:",
        plan.files,
        given=confirm,
    )
    reason = reason or _ask_reason(context)
    execute_resolve(context.config_database, plan, actor=context.actor, reason=reason)
    payload["done"] = True
    context.emit(
        "exceptions-resolve", payload, lambda out: out.print(f"closed: {count(plan.files)}")
    )


def _ask_reason(context: Context) -> str:
    if context.prompts.somebody_is_there:
        answer = context.prompts.ask("Why (for the audit trail)")
        if answer:
            return answer
    raise _no_reason()


def _no_reason() -> UsageError:
    return UsageError("closing exceptions wants a reason", hint="add --reason TEXT")


def require_known_reasons(reasons: list[str] | None) -> None:
    """UsageError for a reason that no exception ever has: nothing was found because of that."""
    from des_core.metrics.definitions import CAUSE_OF_REASON

    for reason in reasons or ():
        if reason not in CAUSE_OF_REASON:
            raise UsageError(
                f"exceptions never have the reason {reason!r}",
                hint=f"reasons are: {', '.join(CAUSE_OF_REASON)}",
            )


def exception_filter(reasons: list[str] | None, uids: list[str] | None) -> ExceptionFilter:
    from des_core.ledger.exception_edits import ExceptionFilter

    return ExceptionFilter(
        frozenset(reasons) if reasons else None, frozenset(uids) if uids else None
    )


def _facts(by_reason: object) -> list[tuple[str, object]]:
    if not by_reason or not isinstance(by_reason, dict):
        return [("nothing", "no open exception matches")]
    return [(reason, f"{count(files)} to close") for reason, files in by_reason.items()]


def _csv_row(item: OpenException) -> tuple[object, ...]:
    from des_admin.render.json import plain

    return tuple(plain(getattr(item, name)) for name in FIELDS)
