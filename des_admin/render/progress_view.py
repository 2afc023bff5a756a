"""Progress as facts, tables and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from des_admin.render.json import plain
from des_admin.render.sections import Section
from des_admin.render.tables import FACT_COLUMNS, Column
from des_admin.render.values import (
    bar,
    behind_words,
    count,
    duration,
    share,
    size,
    utc,
    utc_and_local,
    utc_minute,
)
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from des_core.progress.now import DayProgress, Progress
    from des_core.rows.amounts import Amount

BAR_WIDTH = 20
DAY_FIELDS = ("day", "files", "content_bytes", "shard_bytes", "shards")


def progress_sections(progress: Progress) -> list[Section]:
    """The picture for people, below what needs attention."""
    sections = [Section("Progress", FACT_COLUMNS, _facts(progress))]
    if progress.exceptions:
        sections.append(exceptions_section(progress))
    if progress.last_cycles:
        sections.append(cycles_section(progress))
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
            bar(day.files, most, BAR_WIDTH, empty=" ").rstrip(),
        )
        for day in days
    ]
    source = "rows of the table" if exact else "packed, by the ledger"
    return Section(f"Days of created_at: {source}", columns, rows)


def progress_json(progress: Progress) -> dict[str, object]:
    """The fields of des-admin/progress/1."""
    mark, pace = progress.watermark, progress.pace
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
        "not_packed": progress.not_packed,
        "total": progress.total,
        "origin": progress.provenance.origin,
        "health": progress.health,
        "files_per_second": pace.files_per_s,
        "bytes_per_second": pace.bytes_per_s,
        "arrivals": pace.arrivals,
        "arriving_files_per_second": pace.arriving_files_per_s,
        "keeps_up": pace.keeps_up,
        "eta_seconds": pace.eta,
        "catch_up_seconds": pace.catch_up,
        "last_slices": [
            {"slice_id": item.slice_id, **_slice_json(item.record)} for item in progress.last_slices
        ],
        "last_cycles": progress.last_cycles,
    }


def progress_rows(progress: Progress) -> list[tuple[str, object]]:
    """Name and value, for CSV: the JSON's numbers, one a line."""
    rows: list[tuple[str, object]] = []
    fields = progress_json(progress)
    for name, value in fields.items():
        if name in {"exceptions", "health", "last_slices", "last_cycles"}:
            continue
        tree = plain(value)
        if isinstance(tree, dict):
            rows += [(f"{name}.{key}", item) for key, item in tree.items()]
        else:
            rows.append((name, tree))
    rows += [(f"exceptions.{item.reason}", item.files) for item in progress.exceptions]
    rows += [(f"health.{item.name}", item.text) for item in progress.health]
    return rows


def day_rows(days: Sequence[DayProgress]) -> list[tuple[object, ...]]:
    """A line per day, for CSV, in the order of DAY_FIELDS."""
    return [tuple(plain(getattr(day, name)) for name in DAY_FIELDS) for day in days]


def _facts(progress: Progress) -> list[tuple[str, object]]:
    mark = progress.watermark
    done, total = progress.archived.files, progress.total
    facts: list[tuple[str, object]] = [
        ("archived until", utc_and_local(mark.archived_until)),
        ("target", f"{utc(progress.target)} (lag {numbered(mark.lag_days, 'day')})"),
        ("behind", standing(progress)),
        ("pending", _amount(progress.pending)),
    ]
    if progress.pending.oldest is not None:
        facts.append(("", f"from {utc(progress.pending.oldest)} to {utc(progress.pending.newest)}"))
    facts.append(("archived", _amount(progress.archived)))
    if done is not None and total is not None:
        facts.append(("done", f"{bar(done, total, BAR_WIDTH)} {share(done, total)}"))
    packed = progress.packed
    facts.append(
        (
            "packed by us",
            f"{numbered(packed.files, 'file')}, {size(packed.content_bytes)} in "
            f"{size(packed.shard_bytes)} of shards, {numbered(packed.slices, 'slice')}",
        )
    )
    facts.append(("last slice", utc_and_local(packed.last_finished)))
    facts += pace_facts(progress)
    total = sum(item.files for item in progress.exceptions)
    facts.append(("exceptions", f"{count(total)} open" if total else "none"))
    return facts


def short_facts(progress: Progress) -> list[tuple[str, object]]:
    """What fits on a screen that is looked at again and again."""
    done, total = progress.archived.files, progress.total
    facts: list[tuple[str, object]] = [
        ("archived until", utc(progress.watermark.archived_until)),
        ("target", utc(progress.target)),
        ("behind", standing(progress)),
        ("pending", _amount(progress.pending)),
    ]
    if done is not None and total is not None:
        facts.append(("done", f"{bar(done, total, BAR_WIDTH)} {share(done, total)}"))
    facts.append(("not packed", numbered(progress.not_packed, "file")))
    facts.append(("last slice", utc(progress.packed.last_finished)))
    return [*facts, *pace_facts(progress)]


def standing(progress: Progress) -> str:
    """How far behind; caught up only where nothing waits, nothing failed and nothing is wrong."""
    behind = behind_words(progress.watermark.archived_until, progress.target)
    if not progress.is_at_target or progress.watermark.archived_until > progress.target:
        return behind
    if not progress.is_well or not progress.provenance.is_explained:
        return behind
    if progress.not_packed:
        files = numbered(progress.not_packed, "file")
        return f"nothing: caught up, but for {files} not packed (des-admin exceptions list)"
    return "nothing: caught up"


def health_sections(progress: Progress) -> list[Section]:
    """What somebody must look at, and the next command, for pages; none where all is well."""
    columns = (Column("needs attention"), Column("next"))
    rows = [(remark.text, remark.hint) for remark in progress.health]
    return [Section("Health", columns, rows)] if rows else []


def pace_facts(progress: Progress) -> list[tuple[str, object]]:
    """How fast, how long, and whether it will ever catch up."""
    pace, waiting = progress.pace, progress.pending.files
    facts: list[tuple[str, object]] = []
    if pace.files_per_s is not None:
        rate = f"{_rate(pace.files_per_s)} while packing, {size(round(pace.bytes_per_s or 0))}/s"
        facts.append(("rate", rate))
    if pace.arriving_files_per_s is not None:
        week = count(pace.arrivals.files)
        facts.append(("coming in", f"{_rate(pace.arriving_files_per_s)} ({week} in seven days)"))
    if waiting and pace.eta is not None:
        facts.append(("time left", duration(pace.eta)))
    facts.append(("catches up", _catches_up(progress)))
    return facts


def _catches_up(progress: Progress) -> str:
    pace = progress.pace
    if progress.is_at_target:
        is_green = progress.is_well and not progress.not_packed
        return "has caught up" if is_green else "nothing is pending"
    if pace.keeps_up is None:
        return "not known before something was packed"
    if not pace.keeps_up:
        return "never at this rate: files come in faster than they are packed"
    if pace.catch_up is None:
        return "not known"
    if not pace.arriving_files_per_s:
        return f"after {duration(pace.catch_up)} of packing; nothing comes in"
    times = (pace.files_per_s or 0) / pace.arriving_files_per_s
    margin = f"{times:.1f} times" if times < 100 else "more than a hundred times"
    return f"after {duration(pace.catch_up)} of packing, which is {margin} as fast as files come in"


def _rate(files_per_s: float) -> str:
    """Files per second, or per day where that would round to nothing."""
    if files_per_s >= 10:
        return f"{count(round(files_per_s))} files/s"
    if files_per_s >= 1:
        return f"{files_per_s:.1f} files/s"
    return f"{count(round(files_per_s * 86_400))} files/day"


def _amount(amount: Amount) -> str:
    if amount.files is None:
        return "not known without counting: add --exact"
    about = "" if amount.precision == "exact" else "about "
    note = "" if amount.precision == "exact" else " (estimated; --exact counts)"
    sizes = "" if amount.size_bytes is None else f", {size(amount.size_bytes)}"
    return f"{about}{numbered(amount.files, 'file')}{sizes}{note}"


def exceptions_section(progress: Progress) -> Section:
    columns = (
        Column("reason", wraps=False),
        Column("files", numeric=True),
        Column("oldest", wraps=False),
    )
    rows = [(item.reason, count(item.files), utc(item.oldest)) for item in progress.exceptions]
    return Section("Open exceptions" if rows else "No open exceptions", columns, rows)


def cycles_section(progress: Progress) -> Section:
    columns = (
        Column("finished", wraps=False),
        Column("took", numeric=True),
        Column("packed up to", wraps=False),
        Column("files", numeric=True),
        Column("failed", numeric=True),
        Column("content", numeric=True),
    )
    rows = [
        (
            utc_minute(cycle.finished_at),
            duration(cycle.finished_at - cycle.started_at),
            utc_minute(cycle.window_end),
            count(cycle.files),
            count(cycle.files_failed),
            size(cycle.content_bytes),
        )
        for cycle in progress.last_cycles
    ]
    return Section("Last cycles" if rows else "No cycle has packed anything yet", columns, rows)


def _slice_json(record: object) -> dict[str, object]:
    names = (
        *("run_id", "kind", "window_start", "window_end", "files_in", "files_out"),
        *("files_failed", "files_present", "bytes_in", "bytes_out", "started_at", "finished_at"),
    )
    return {name: getattr(record, name) for name in names}
