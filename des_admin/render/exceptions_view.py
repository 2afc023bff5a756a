"""Open exceptions: what they have in common on top, then single ones with their paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from des_admin.render.json import plain
from des_admin.render.sections import Section
from des_admin.render.tables import Column
from des_admin.render.values import count, utc

if TYPE_CHECKING:
    from des_core.ledger.exception_groups import ExceptionGroup, GroupBy
    from des_core.ledger.exceptions import OpenException, ReasonCount


def exception_sections(
    groups: Sequence[ExceptionGroup],
    newest: Sequence[OpenException],
    by: GroupBy,
    *,
    is_wide: bool,
    all_of_them: Sequence[ReasonCount] | None,
) -> list[Section]:
    """Groups, then single ones; where they were chosen, `all_of_them` last."""
    matching = "" if all_of_them is None else " that match"
    title = f"Open exceptions{matching} by {by}"
    if not groups:
        title = "No open exceptions" if all_of_them is None else "No open exception matches"
    rows = [_group_row(group, by) for group in groups]
    sections = [Section(title, _group_columns(by), rows)]
    if newest:
        columns, lines = (_wide if is_wide else _narrow)(newest)
        sections.append(Section("The newest", columns, lines))
    if all_of_them is not None:
        summary = (Column("reason", wraps=False), Column("files", numeric=True))
        totals = [(item.reason, count(item.files)) for item in all_of_them]
        sections.append(Section("All open ones by reason", summary, totals))
    return sections


def group_rows(groups: Sequence[ExceptionGroup]) -> list[tuple[object, ...]]:
    """A line for each, for CSV, in the order of GROUP_FIELDS."""
    names = ("reason", "key", "files", "below", "absent", "example", "oldest", "last_seen")
    return [tuple(plain(getattr(group, name)) for name in names) for group in groups]


def _group_columns(by: GroupBy) -> tuple[Column, ...]:
    keyed = (Column("day", wraps=False),) if by == "day" else ()
    return (
        Column("reason", wraps=False),
        *keyed,
        Column("files", numeric=True),
        Column("where"),
        Column("last seen", wraps=False),
    )


def _group_row(group: ExceptionGroup, by: GroupBy) -> tuple[object, ...]:
    keyed = (group.key,) if by == "day" else ()
    seen = utc(group.last_seen.replace(microsecond=0))
    return (group.reason, *keyed, count(group.files), group.where, seen)


def _narrow(items: Sequence[OpenException]) -> tuple[tuple[Column, ...], list[tuple[object, ...]]]:
    columns = (
        Column("reason", wraps=False),
        Column("uid"),
        Column("path"),
    )
    return columns, [(i.reason, i.uid, i.location) for i in items]


def _wide(items: Sequence[OpenException]) -> tuple[tuple[Column, ...], list[tuple[object, ...]]]:
    columns = (
        Column("reason", wraps=False),
        Column("uid"),
        Column("path"),
        Column("created at", wraps=False),
        Column("tries", numeric=True),
        Column("last error"),
        Column("next try", wraps=False),
    )
    rows: list[tuple[object, ...]] = [
        (
            *(i.reason, i.uid, i.location, utc(i.created_at), i.attempts, i.last_error),
            utc(None if i.next_attempt is None else i.next_attempt.replace(microsecond=0)),
        )
        for i in items
    ]
    return columns, rows
