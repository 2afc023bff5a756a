"""`des-admin exceptions`: files for which the watermark's answer is wrong, and what to do."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.sections import Section, to_csv, to_markdown
from des_admin.render.tables import Column, print_facts
from des_admin.render.values import count, utc
from des_core.basics.errors import UsageError

if TYPE_CHECKING:
    from des_core.ledger.exception_edits import ExceptionFilter
    from des_core.ledger.exceptions import OpenException, ReasonCount


class Format(StrEnum):
    """How the list is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


app = typer.Typer(
    no_args_is_help=True,
    help="Files for which the watermark's answer is wrong: list, try again, close.",
)
FIELDS = (
    *("uid", "created_at", "reason", "archived", "attempts", "location", "last_error"),
    *("first_seen", "last_seen", "next_attempt"),
)

ReasonsOption = Annotated[
    list[str] | None,
    typer.Option("--reason", metavar="REASON", help="Only these reasons, e.g. missing. Repeat it."),
]
UidsOption = Annotated[
    list[str] | None, typer.Option("--uid", metavar="UID", help="Only these files. Repeat it.")
]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="exceptions")


@app.command(
    "list",
    epilog=examples(
        "des-admin exceptions list",
        "des-admin exceptions list --reason missing --format csv --limit 100000",
    ),
)
def list_open(
    ctx: typer.Context,
    reason: ReasonsOption = None,
    uid: UidsOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Default: what --output says.")
    ] = None,
) -> None:
    """List open exceptions: which file, since when, why, and what happened last."""
    from des_admin.render.json import to_json
    from des_core.ledger.exception_edits import find_open
    from des_core.ledger.exceptions import count_open

    context = Context.of(ctx)
    config = context.config_database
    found = list(islice(find_open(config, exception_filter(reason, uid)), limit))
    if not found:
        require_known_reasons(reason)
    with config.read() as tx:
        counts = count_open(tx)
    sections = _sections(found, counts, is_filtered=bool(reason or uid))
    form = format_ or (Format.JSON if context.wants_json else Format.TABLE)
    if form is Format.JSON:
        payload = {"by_reason": counts, "exceptions": found}
        text = to_json("exceptions-list", payload) + "\n"
    elif form is Format.CSV:
        text = to_csv(FIELDS, [_csv_row(item) for item in found])
    elif form is Format.MARKDOWN:
        text = to_markdown(sections)
    else:
        text = context.drawn(sections)
    context.out.file.write(text)
    if len(found) == limit:
        context.say(f"only the first {limit} are shown: raise --limit to see more")


@app.command(
    epilog=examples(
        "des-admin exceptions resolve --uid 4711 --because 'deleted on request, ticket 12'",
        "des-admin exceptions resolve --reason missing --because 'lost before 2020' --confirm 17",
    )
)
def resolve(
    ctx: typer.Context,
    reason: ReasonsOption = None,
    uid: UidsOption = None,
    because: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why; goes into the audit trail. Needed.")
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
    if not reason and not uid:
        raise UsageError("say which: --reason or --uid", hint="see: des-admin exceptions list")
    if because is None and not dry_run and not context.prompts.somebody_is_there:
        raise _no_because()
    plan = plan_resolve(context.config_database, exception_filter(reason, uid))
    if not plan.files:
        require_known_reasons(reason)
    payload = {"done": False, "files": plan.files, "by_reason": plan.by_reason}
    if dry_run or not (plan.files or confirm):
        context.emit(
            "exceptions-resolve", payload, lambda out: print_facts(out, _facts(plan.by_reason))
        )
        return
    context.show_plan(_facts(plan.by_reason), yes=confirm is not None)
    context.prompts.confirm_number(
        f"They will read as archived. Type how many to close ({plan.files:,}):",
        plan.files,
        given=confirm,
    )
    because = because or _ask_because(context)
    execute_resolve(context.config_database, plan, actor=context.actor, reason=because)
    payload["done"] = True
    context.emit(
        "exceptions-resolve", payload, lambda out: out.print(f"closed: {count(plan.files)}")
    )


def _ask_because(context: Context) -> str:
    if context.prompts.somebody_is_there:
        answer = context.prompts.ask("Why (for the audit trail)")
        if answer:
            return answer
    raise _no_because()


def _no_because() -> UsageError:
    return UsageError("closing exceptions wants a reason", hint="add --because TEXT")


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


def _sections(
    found: list[OpenException], counts: list[ReasonCount], *, is_filtered: bool
) -> list[Section]:
    detail = (
        Column("uid"),
        Column("created at", wraps=False),
        Column("reason", wraps=False),
        Column("tries", numeric=True),
        Column("last error"),
        Column("next try", wraps=False),
    )
    rows = [
        (i.uid, utc(i.created_at), i.reason, i.attempts, i.last_error, utc(i.next_attempt))
        for i in found
    ]
    summary = (
        Column("reason", wraps=False),
        Column("files", numeric=True),
        Column("oldest", wraps=False),
    )
    totals = [(c.reason, count(c.files), utc(c.oldest)) for c in counts]
    if not counts:
        return [Section("No open exceptions", summary, [])]
    if not is_filtered:
        return [Section("Open exceptions", detail, rows), Section("By reason", summary, totals)]
    title = "Open exceptions that match" if rows else "No open exception matches"
    return [Section(title, detail, rows), Section("All open ones by reason", summary, totals)]


def _csv_row(item: OpenException) -> tuple[object, ...]:
    from des_admin.render.json import plain

    return tuple(plain(getattr(item, name)) for name in FIELDS)
