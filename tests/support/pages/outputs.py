"""Outputs that documents show: compared with those of the run, but for its own numbers and times.

A page shows `/mnt/des/output` where a test has a temporary directory; `Dress` knows both. Today
is the same day on every page. A line that holds only `…` stands for any number of lines, one that
ends in `…` for a longer one. `--regenerate-golden` writes an output anew
where it no longer fits, cut to its first lines.
"""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from support.pages.documents import FENCE, OUTPUT, RUNS, Desk, Section

GAP = "…"
SHOWN_LINES = 8
SURELY_A_NAME = 12  # a shorter one may be part of a word
SHOWN_WIDTH = 110
# Printed every so often while something takes long: as many as the machine is slow.
_PROGRESS = re.compile(
    r"(dumping|hashing|reading every byte)(: |$)|reading with the database|restoring into a"
    r"|\d{4}_\w+ .*: [\d,]+(, \d+% of the range)?(, about .+ left)?$"
)
_UNIT = r"(?:ns|us|ms|s|min|h|d|days?|hours?|minutes?|seconds?|bytes|[KMGT]i?B|B)"
_MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?( ?UTC|Z|\+00(:00)?)?"), "T"),
    (re.compile(r"\b\d{8}(?:T\d{6}Z?)?(?=[_.\-]|\b)"), "T"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b"), "H"),
    (re.compile(rf"\b\d[\d,.]*(?: ?{_UNIT}\b)?(?: (?:\d[\d,.]*) ?{_UNIT}\b)*"), "N"),
    (re.compile(r"[─━=-]{3,}"), "-"),
    (re.compile(r"\s+"), " "),
)


def _cut(line: str) -> str:
    return (line.rpartition(" ")[0] or line).rstrip()


TODAY_ON_PAGES = date(2024, 12, 1)
_DAY = re.compile(r"(?<!\d)(20\d\d)(-?)(\d\d)\2(\d\d)(?!\d)")


@dataclass(frozen=True, slots=True)
class Dress:
    """What a page says, what this run has for it, and the days from the page's today to ours.

    `names` stand in outputs only: they are never put into a command.
    """

    pairs: tuple[tuple[str, str], ...]
    names: tuple[tuple[str, str], ...] = ()
    days: int = 0

    def undressed(self, text: str) -> str:
        """A command of the page as this run needs it."""
        text = _shifted(text, self.days)
        for shown, real in self.pairs:
            text = text.replace(shown, real)
        return text

    def dressed(self, text: str) -> list[str]:
        """The lines of an output of this run as the page shows them."""
        for shown, real in sorted(self.pairs + self.names, key=lambda pair: -len(pair[1])):
            if len(real) < SURELY_A_NAME:
                text = re.sub(rf"(?<![\w.]){re.escape(real)}(?!\w)", shown, text)
            else:
                text = text.replace(real, shown)
        lines = [line.rstrip() for line in _shifted(text, -self.days).splitlines()]
        return (
            "\n".join(each for each in lines if not _PROGRESS.match(each)).strip("\n").splitlines()
        )


def _shifted(text: str, days: int) -> str:
    def move(found: re.Match[str]) -> str:
        year, dash, month, day = found.groups()
        try:
            moved = date(int(year), int(month), int(day)) + timedelta(days=days)
        except ValueError:
            return found[0]
        return moved.strftime(f"%Y{dash}%m{dash}%d")

    return _DAY.sub(move, text)


def dress(desk: Desk, place: str = "/etc/des-admin") -> Dress:
    """The directories, database and names of one desk, whose directory a page calls `place`."""
    pairs = [("/mnt/des/output", str(desk.directory / "shards"))]
    pairs += [("/mnt/sources", str(path)) for path in desk.directory.glob("source_*")]
    pairs.append(("/srv/backups", str(desk.directory / "backups")))
    host = socket.gethostname()
    names = [
        (place, str(desk.directory)),
        ("operator@db1", f"{getpass.getuser()}@{host}"),
        ("db1", host),
    ]
    url = sa.make_url(desk.database.url)
    if url.database is not None and url.host is not None:
        names += [
            ("archive_db", url.database),
            ("db.example.org:5432", f"{url.host}:{url.port}"),
            ("db.example.org", url.host),
            ("archive", str(url.username)),
        ]
    if desk.database.path is not None:
        names.append(("archive_db", desk.database.path.stem))
    days = (datetime.now(UTC).date() - TODAY_ON_PAGES).days
    return Dress(tuple(pairs), tuple(names), days)


def masked(line: str) -> str:
    """A line without what differs from run to run."""
    for pattern, name in _MASKS:
        line = pattern.sub(name, line)
    return line.strip()


def fits(shown: Iterable[str], real: list[str]) -> bool:
    """Whether these lines, with gaps, are those of the run."""
    pattern = ""
    for line in filter(str.strip, shown):
        if line.strip() == GAP:
            pattern += "(?:.*\n)*?"
        elif line.endswith(GAP):
            pattern += re.escape(masked(line.removesuffix(GAP))) + ".*\n"
        else:
            pattern += re.escape(masked(line)) + "\n"
    lines = [f"{masked(line)}\n" for line in real if line.strip()]
    return re.fullmatch(pattern, "".join(lines)) is not None


def shortened(lines: list[str]) -> list[str]:
    """The first lines, and of those that are too long the beginning."""
    if len(lines) > SHOWN_LINES + 1:
        lines = [*lines[:SHOWN_LINES], GAP]
    return [line if len(line) <= SHOWN_WIDTH else _cut(line[:SHOWN_WIDTH]) + GAP for line in lines]


def require_shown(
    page: Path, section: Section, number: int, real: list[str], said: str, *, regenerate: bool
) -> None:
    """The block below that of this number shows `real`; `regenerate` writes it so.

    `said` is for the message: the command and its output as they were.
    """
    below = section.blocks[number + 1 : number + 2]
    shown = below[0].text.splitlines() if below and below[0].language == OUTPUT else []
    if fits(shown, real):
        return
    assert regenerate, f"the page shows another output; {said}"
    place = sum(each.language in RUNS for each in section.blocks[:number])
    write_output(page, section.title, place, shortened(real))


def write_output(page: Path, title: str, place: int, lines: list[str]) -> None:
    """Put this output below the block, the `place`-th that runs in its section, instead of the one
    that stands there."""
    text = page.read_text().splitlines()
    start = _fence_of(text, title, place)
    indent = text[start].partition("`")[0]
    end = _closing(text, start)
    rest = end + 1
    below = next((n for n in range(end + 1, len(text)) if text[n].strip()), end)
    if text[below] == f"{indent}```{OUTPUT}":
        rest = _closing(text, below) + 1
    shown = [f"{indent}{line}".rstrip() for line in lines]
    new = ["", f"{indent}```{OUTPUT}", *shown, f"{indent}```"] if lines else []
    page.write_text("\n".join([*text[: end + 1], *new, *text[rest:]]) + "\n")


def _fence_of(text: list[str], title: str, place: int) -> int:
    begin = text.index(f"## {title}")
    for number in range(begin, len(text)):
        fence = FENCE.match(text[number])
        if fence and fence["lang"] in RUNS:
            if place == 0:
                return number
            place -= 1
    raise AssertionError(f"no such block below {title!r}")


def _closing(text: list[str], start: int) -> int:
    return next(n for n in range(start + 1, len(text)) if text[n].strip() == "```")
