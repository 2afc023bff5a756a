"""The charts of the HTML report: static SVG, coloured by the page's own variables, no script."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from des_admin.render.values import UNITS
from des_core.basics.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

# Two of these stand beside each other on a desk; on a phone one shrinks by a fifth at most.
WIDTH, HEIGHT = 440, 230
# More bars than this would be thinner than the gaps between them.
MOST_POINTS = 60
LABELS = 3
# pygal writes its settings for a script that is not there.
_UNSEEN = re.compile(r"<!--.*?-->|<script\b.*?</script>", re.S)
Value = float | None


@dataclass(frozen=True)
class Series:
    """A line or a row of bars; None where nothing is known."""

    name: str
    values: Sequence[Value]


@dataclass(frozen=True)
class Chart:
    """What is drawn: a value per day. `as_bars` for what adds up, lines for how something stood."""

    key: str
    title: str
    days: Sequence[date]
    series: Sequence[Series]
    as_bars: bool
    unit: Callable[[float], str]

    @property
    def is_empty(self) -> bool:
        return not any(value for series in self.series for value in series.values)


def draw(chart: Chart) -> str:
    """The chart as an SVG element to stand in a page."""
    pygal = require_library()
    kind = pygal.Bar if chart.as_bars else pygal.Line
    picture = kind(**_options(chart), style=_style())
    picture.uuid = chart.key
    labels = _labels(chart.days)
    picture.x_labels = labels
    picture.x_labels_major = _spread(labels)
    for series in chart.series:
        picture.add(series.name, list(series.values))
    return _UNSEEN.sub("", picture.render(is_unicode=True))


def _options(chart: Chart) -> dict[str, Any]:
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "js": [],
        "disable_xml_declaration": True,
        "show_minor_x_labels": False,
        "truncate_label": -1,
        "show_legend": len(chart.series) > 1,
        "legend_at_bottom": True,
        "legend_at_bottom_columns": len(chart.series),
        "legend_box_size": 11,
        "fill": not chart.as_bars and len(chart.series) == 1,
        "show_dots": len(chart.days) < 2,
        "include_x_axis": True,
        "margin": 8,
        "margin_right": 34,  # half of the last label stands there
        "spacing": 6,
        "max_scale": 5,
        "min_scale": 2,
        "value_formatter": chart.unit,
    }


def _style() -> Any:
    from pygal.style import Style

    return Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--text)",
        foreground_strong="var(--text)",
        foreground_subtle="var(--soft)",
        guide_stroke_color="var(--line)",
        major_guide_stroke_color="var(--line)",
        guide_stroke_dasharray="none",
        major_guide_stroke_dasharray="none",
        colors=("var(--first)", "var(--second)"),
        opacity=".85",
        font_family="inherit",
        label_font_size=13,
        major_label_font_size=13,
        legend_font_size=13,
    )


def _labels(days: Sequence[date]) -> list[str]:
    """`08 Nov`, with the year where the same day comes twice."""
    form = "%d %b" if (days[-1] - days[0]).days < 300 else "%d %b %y"
    return [day.strftime(form) for day in days]


def _spread(labels: Sequence[str]) -> list[str]:
    """The first, the last and what lies evenly between."""
    last = len(labels) - 1
    return [labels[last * n // (LABELS - 1)] for n in range(LABELS)] if last > 0 else list(labels)


def thin(days: Sequence[Any], add: Callable[[Sequence[Any]], Any]) -> list[Any]:
    """No more than MOST_POINTS: neighbours put together by `add`, counted from the last one."""
    each = -(-len(days) // MOST_POINTS) or 1
    first = len(days) % each
    groups = [days[:first]] if first else []
    groups += [days[at : at + each] for at in range(first, len(days), each)]
    return [add(group) for group in groups]


def files_unit(value: float) -> str:
    """`12k`, `3.5M`: short enough for an axis."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def byte_scale(values: Sequence[Value]) -> tuple[str, int]:
    """The unit in which the largest of these reads well, and how many bytes it is."""
    most = max((value for value in values if value), default=0)
    place = 0
    while most >= 1024 and place < len(UNITS) - 1:
        most, place = most / 1024, place + 1
    return UNITS[place], 1024**place


def require_library() -> Any:
    """pygal, or an error that says how to get it."""
    try:
        import pygal
    except ImportError as exc:
        raise missing_library(exc) from exc
    return pygal


def missing_library(exc: ImportError) -> UsageError:
    """What to install."""
    return UsageError(
        "the HTML report needs libraries that are not installed",
        hint="pip install 'des-admin[report]'; --format markdown needs none",
        missing=str(exc.name),
    )
