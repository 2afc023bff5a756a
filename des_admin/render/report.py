"""The HTML report: one file that needs nothing else, for a browser, a phone, a printer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from des_admin.render import charts
from des_admin.render.charts import Chart, Series, byte_scale, draw, files_unit, thin
from des_admin.render.progress_view import day_section, progress_sections
from des_admin.render.sections import Section
from des_admin.render.tables import FACT_COLUMNS
from des_admin.render.values import duration, foreign, share, utc
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from des_core.progress.history import HistoryDay
    from des_core.progress.now import DayProgress, Progress

_DAY_S = 86_400


@dataclass(frozen=True)
class Report:
    """All that the page shows. `days` are newest first, `history` oldest first."""

    title: str
    progress: Progress
    days: Sequence[DayProgress]
    history: Sequence[HistoryDay]
    exact: bool


def render_report(report: Report) -> str:
    """The whole page. Text of others is escaped by the template; the charts hold numbers only."""
    template = _template()
    progress = report.progress
    days = day_section(report.days, exact=report.exact)
    sections = [*progress_sections(progress), days]
    done, whole = progress.archived.files, progress.total
    place = next(n for n, section in enumerate(sections) if section.columns is FACT_COLUMNS)
    facts = sections.pop(place)
    return str(
        template.render(
            title=report.title,
            made_at=utc(progress.now.replace(microsecond=0)),
            headline=_headline(progress),
            done=share(done, whole) if whole and done is not None else None,
            done_ratio=done / whole if whole and done is not None else 0,
            facts=_facts(facts),
            charts=[_figure(chart) for chart in make_charts(report)],
            health=[(foreign(item.text), foreign(item.hint)) for item in progress.health],
            tables=[_table(section) for section in sections if section.rows],
        )
    )


def make_charts(report: Report) -> list[Chart]:
    """By day of created_at what is packed; by day of the calendar how it went."""
    return [*_created_charts(report), *_calendar_charts(report.history)]


def _created_charts(report: Report) -> Iterable[Chart]:
    days = thin(list(reversed(report.days)), _add_days)
    names = [day.day for day in days]
    files_ = [Series("files", [day.files for day in days])]
    unit, scale = byte_scale([day.content_bytes for day in days])
    sizes = [Series("content", [_scaled(day.content_bytes, scale) for day in days])]
    if any(day.shard_bytes is not None for day in days):
        sizes.append(Series("in shards", [_scaled(day.shard_bytes, scale) for day in days]))
    yield Chart("daily-files", "Files by day of creation", names, files_, True, files_unit)
    yield Chart("daily-bytes", f"{unit} by day of creation", names, sizes, True, files_unit)


def _scaled(size_bytes: int | None, scale: int) -> float | None:
    return None if size_bytes is None else size_bytes / scale


def _calendar_charts(history: Sequence[HistoryDay]) -> Iterable[Chart]:
    days = thin(history, _add_history)
    names = [day.day for day in days]
    packed = [Series("files", [day.files for day in days])]
    rate = [Series("files/s", [_rate(day) for day in days])]
    # Nothing is known before the watermark's first move: a line begins where knowledge does.
    known = [day for day in days if day.behind is not None]
    since = [day.day for day in known]
    waits = [Series("files", [day.waiting_files for day in known])]
    lag = [Series("days", [_days(day.behind) for day in known])]
    yield Chart("packed", "Files packed on each day", names, packed, True, files_unit)
    yield Chart("pending", "Files pending at the end of each day", since, waits, False, files_unit)
    yield Chart("throughput", "Files per second while packing", names, rate, True, files_unit)
    yield Chart("lag", "Days behind the target", since, lag, False, files_unit)


def _add_days(days: Sequence[DayProgress]) -> DayProgress:
    def total(name: str) -> int | None:
        values = [getattr(day, name) for day in days]
        return None if None in values else sum(values)

    return replace(
        days[0],
        files=sum(day.files for day in days),
        content_bytes=total("content_bytes"),
        shard_bytes=total("shard_bytes"),
        shards=total("shards"),
    )


def _add_history(days: Sequence[HistoryDay]) -> HistoryDay:
    """Sums of what was packed; how it stood, from the last of them."""
    return replace(
        days[-1],
        files=sum(day.files for day in days),
        content_bytes=sum(day.content_bytes for day in days),
        busy=sum((day.busy for day in days), timedelta(0)),
    )


def _days(behind: timedelta | None) -> float | None:
    return None if behind is None else behind.total_seconds() / _DAY_S


def _rate(day: HistoryDay) -> float | None:
    seconds = day.busy.total_seconds()
    return day.files / seconds if day.files and seconds > 0 else None


def _headline(progress: Progress) -> str:
    if progress.health:
        return "Needs attention"
    if not progress.is_at_target:
        return f"{duration(progress.behind)} behind the target"
    if progress.not_packed:
        return f"Caught up, but for {numbered(progress.not_packed, 'file')} not packed"
    return "Caught up"


def _facts(section: Section) -> list[tuple[str, str]]:
    """Name and text; the bar is drawn above, and a fact without a name goes on with the last."""
    assert section.columns is FACT_COLUMNS
    facts: list[tuple[str, str]] = []
    for name, value in section.rows:
        if name == "":
            last, text = facts.pop()
            facts.append((last, f"{text}, {foreign(value)}"))
        elif name != "done":
            facts.append((str(name), foreign(value)))
    return facts


def _figure(chart: Chart) -> dict[str, Any]:
    return {
        "key": chart.key,
        "title": chart.title,
        "svg": None if chart.is_empty else draw(chart),
    }


def _table(section: Section) -> dict[str, Any]:
    """Without the column of bars, which is a chart here."""
    shown = [place for place, column in enumerate(section.columns) if column.title]
    return {
        "title": section.title,
        "columns": [section.columns[place] for place in shown],
        "rows": [
            ["–" if row[place] is None else foreign(row[place]) for place in shown]
            for row in section.rows
        ],
    }


def _template() -> Any:
    charts.require_library()
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as exc:
        raise charts.missing_library(exc) from exc
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = files("des_admin.render").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)
