"""Progress as facts, tables and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from des_admin.render.json import plain
from des_admin.render.sections import Section
from des_admin.render.tables import Column
from des_admin.render.values import count, duration, share, size, utc, utc_and_local

if TYPE_CHECKING:
    from des_core.progress import Amount, DayProgress, Progress

FACT_COLUMNS = (Column("what", wraps=False, style="bold"), Column("value"))
DAY_FIELDS = ("day", "files", "content_bytes", "shard_bytes", "shards")


def progress_sections(progress: Progress) -> list[Section]:
    """The picture for people."""
    sections = [Section("Progress", FACT_COLUMNS, _facts(progress))]
    if progress.exceptions:
        sections.append(_exceptions(progress))
    if progress.last_slices:
        sections.append(_slices(progress))
    return sections


def day_section(days: Sequence[DayProgress], *, exact: bool) -> Section:
    """A line per day of created_at."""
    columns = (
        Column("day", wraps=False),
        Column("files", numeric=True),
        Column("content", numeric=True),
        Column("in shards", numeric=True),
        Column("shards", numeric=True),
        Column("", wraps=False),
    )
    most = max((day.files for day in days), default=0)
    rows = [
        (
            day.day.isoformat(),
            count(day.files),
            size(day.content_bytes),
            size(day.shard_bytes),
            count(day.shards),
            "█" * round(20 * day.files / most) if most else "",
        )
        for day in days
    ]
    source = "rows of the table" if exact else "packed, by the ledger"
    return Section(f"Days of created_at: {source}", columns, rows)


def progress_json(progress: Progress) -> dict[str, object]:
    """The fields of des-admin/progress/1."""
    mark = progress.watermark
    return {
        "now": progress.now,
        "archived_until": mark.archived_until,
        "lag_days": mark.lag_days,
        "target": progress.target,
        "behind_seconds": progress.behind,
        "pending": progress.pending,
        "archived": progress.archived,
        "packed": progress.packed,
        "exceptions": progress.exceptions,
        "files_per_second": progress.files_per_s,
        "bytes_per_second": progress.bytes_per_s,
        "eta_seconds": progress.eta,
        "last_slices": [
            {"slice_id": item.slice_id, **_slice_json(item.record)} for item in progress.last_slices
        ],
    }


def progress_rows(progress: Progress) -> list[tuple[str, object]]:
    """Name and value, for CSV: the JSON's numbers, one a line."""
    rows: list[tuple[str, object]] = []
    fields = progress_json(progress)
    for name, value in fields.items():
        if name in {"exceptions", "last_slices"}:
            continue
        tree = plain(value)
        if isinstance(tree, dict):
            rows += [(f"{name}.{key}", item) for key, item in tree.items()]
        else:
            rows.append((name, tree))
    rows += [(f"exceptions.{item.reason}", item.files) for item in progress.exceptions]
    return rows


def day_rows(days: Sequence[DayProgress]) -> list[tuple[object, ...]]:
    """A line per day, for CSV, in the order of DAY_FIELDS."""
    return [tuple(plain(getattr(day, name)) for name in DAY_FIELDS) for day in days]


def _facts(progress: Progress) -> list[tuple[str, object]]:
    mark = progress.watermark
    done, waiting = progress.archived.files, progress.pending.files
    facts: list[tuple[str, object]] = [
        ("archived until", utc_and_local(mark.archived_until)),
        ("target", f"{utc(progress.target)} (lag {mark.lag_days} days)"),
        ("behind", duration(progress.behind) if progress.behind else "nothing: caught up"),
        ("waiting", _amount(progress.pending)),
    ]
    if progress.pending.oldest is not None:
        facts.append(("", f"from {utc(progress.pending.oldest)} to {utc(progress.pending.newest)}"))
    facts.append(("archived", _amount(progress.archived)))
    if done is not None and waiting is not None:
        facts.append(("done", share(done, done + waiting)))
    packed = progress.packed
    facts.append(
        (
            "packed by us",
            f"{count(packed.files)} files, {size(packed.content_bytes)} in "
            f"{size(packed.shard_bytes)} of shards, {count(packed.slices)} slices",
        )
    )
    facts.append(("last slice", utc_and_local(packed.last_finished)))
    if progress.files_per_s is not None:
        rate = f"{count(round(progress.files_per_s))} files/s, {size(_rate_bytes(progress))}/s"
        facts.append(("rate", rate))
        if waiting:
            facts.append(("time left", duration(progress.eta)))
    total = sum(item.files for item in progress.exceptions)
    facts.append(("exceptions", f"{count(total)} open" if total else "none"))
    return facts


def _rate_bytes(progress: Progress) -> int:
    return round(progress.bytes_per_s or 0)


def _amount(amount: Amount) -> str:
    if amount.files is None:
        return "not known without counting: add --exact"
    about = "" if amount.precision == "exact" else "about "
    note = "" if amount.precision == "exact" else " (estimated; --exact counts)"
    sizes = "" if amount.size_bytes is None else f", {size(amount.size_bytes)}"
    return f"{about}{count(amount.files)} files{sizes}{note}"


def _exceptions(progress: Progress) -> Section:
    columns = (
        Column("reason", wraps=False),
        Column("files", numeric=True),
        Column("oldest", wraps=False),
    )
    rows = [(item.reason, count(item.files), utc(item.oldest)) for item in progress.exceptions]
    return Section("Open exceptions", columns, rows)


def _slices(progress: Progress) -> Section:
    columns = (
        Column("window end", wraps=False),
        Column("files", numeric=True),
        Column("failed", numeric=True),
        Column("content", numeric=True),
        Column("shards", numeric=True),
        Column("took", numeric=True),
    )
    rows = [
        (
            utc(item.record.window_end),
            count(item.record.files_out),
            count(item.record.files_failed),
            size(item.record.bytes_in),
            size(item.record.bytes_out),
            duration(item.record.finished_at - item.record.started_at),
        )
        for item in progress.last_slices
    ]
    return Section("Last slices", columns, rows)


def _slice_json(record: object) -> dict[str, object]:
    names = (
        *("run_id", "kind", "window_start", "window_end", "files_in", "files_out"),
        *("files_failed", "files_present", "bytes_in", "bytes_out", "started_at", "finished_at"),
    )
    return {name: getattr(record, name) for name in names}
