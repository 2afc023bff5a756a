"""Rows of an application that means harm, through every command that reads rows.

Half of them name a file, and are packed under their uids; the others become exceptions. The figures
are printed with -s; `DES_TEST_ROUNDS=1` makes 10,000 rows of it.
"""

import csv
import io
import json
import resource
import time
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from itertools import cycle, islice
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from support.rows.bulk import insert_rows
from support.rows.filesdata import FileRow

LONG = 20_000
UGLY = (
    "/x\x1b[31m\x1b]0;owned\x07\r\n[2024-01-01] forged=line",
    "\x1b]8;;http://evil.example/\x1b\\click\x1b]8;;\x1b\\",
    "\x9b31mC1\x85next\x90q\x9c",
    "/[bold red]markup[/bold red][link=http://x]y[/link]",
    "=cmd|' /C calc'!A0",
    "＝1+1;=2+2\t@SUM(A1)",
    '+1"\n=HYPERLINK("http://x")',
    "/<script>alert(1)</script>&amp;\"'<img src=x onerror=alert(1)>",
    "![x](http://x/p.png)|[y](javascript:alert(1))|`z`",
    "/%s%(x)s{0}{x!r}${HOME}`id`;rm",
    "/\u202egnp.exe\u200b\ufeff\u2028\u2066x\u2069",
    "/" + "pass" * (LONG // 4),
    "/" + "a://b:" * (LONG // 6),
    "/" + "x/" * (LONG // 2),
    "/" + "../" * (LONG // 3) + "etc/passwd",
    "/proc/self/root/etc/shadow",
    "/dev/zero",
    "/etc/shadow",
    "//../../..//etc/passwd",
    " ",
    "-rf",
    "..",
    "{" * LONG,
    '{"a":' * 1000 + "[" * LONG,
    "\ud83d\ude00́" * 500,
    "%2e%2e%2f%00",
)
READING = (
    *("run --dry-run", "plan compression", "run", "run", "doctor --all"),
    *("doctor --output json", "status", "progress", "progress --exact", "progress --daily"),
    *("exceptions list", "exceptions list -o wide", "exceptions list --limit 100000"),
    *("exceptions list --group-by directory", "exceptions list --group-by reason"),
    *("exceptions retry --yes", "exceptions retry --dry-run"),
    *("reconcile --every-day", "verify", "watermark show", "watermark history"),
    *("compliance sync --dry-run", "migrate status", "migrate plan"),
    *("lock show", "exporter --once", "archive ls", "ledger rebuild --dry-run"),
)
FORMATS = {
    **dict.fromkeys(("json", "csv", "markdown"), ("exceptions list --limit 100000",)),
    "html": ("progress", "progress --exact"),
}
FORMATS |= {name: (*FORMATS[name], "progress", "progress --daily") for name in ("csv", "markdown")}
CODES = {0, 3, 4}
# As str.isprintable has it, and what parts lines and fields.
ALLOWED = {"\n", "\t"}
TAGS = {"script", "img", "iframe", "object", "link", "base", "form"}


def is_clean(text: str) -> bool:
    return all(char.isprintable() or char in ALLOWED for char in text)


def hostile_rows(archive: Archive, count: int, good: Path) -> Iterator[FileRow]:
    start = max(row.created_at for row in archive.table.rows.values())
    good.write_bytes(b"x")
    for number, text in enumerate(islice(cycle(UGLY), count)):
        uid = text.encode("utf-8", "replace").decode() if number % 3 else ""
        uid = f"{uid[: 60 if number % 7 else 3000]}{number}"
        moment = start + timedelta(seconds=number)
        if number % 2:
            yield FileRow(uid, moment, str(good), 1)
        else:
            yield FileRow(uid, moment, text.encode("utf-8", "replace").decode(), number % 5)


class Page(HTMLParser):
    """The tags and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        handlers = [name for name, _ in attrs if name.startswith("on")]
        targets = [value or "" for name, value in attrs if name in {"href", "src"}]
        bad = [each for each in targets if not each.startswith(("#", "data:image/"))]
        if tag in TAGS or handlers or bad:
            self.found.append(f"{tag} {attrs}")


def check_format(form: str, text: str) -> None:
    """What a program reads of it has no formula, no tag and no control character."""
    if form == "json":
        json.loads(text)
    elif form == "csv":
        for delimiter in (",", ";"):
            for record in csv.reader(io.StringIO(text), delimiter=delimiter):
                assert not [cell for cell in record if cell[:1] and cell[:1] in "=+-@＝＋－＠\t\r"]
    elif form == "html":
        assert Page(text).found == []
    else:
        lines = [line for line in text.splitlines() if line.startswith("|")]
        plain = [line.replace("\\\\", "").replace("\\|", "") for line in lines]
        assert len({line.count("|") for line in plain if "---" not in line}) <= 3
        assert not [line for line in plain if "<script" in line.replace("\\<", "")]


class Measured:
    """Each command's time and the memory that it added to the peak of this process."""

    def __init__(self, program: Program, limit_s: float) -> None:
        self.program, self.limit_s = program, limit_s
        self.figures: dict[str, str] = {}

    def __call__(self, *words: str, show: bool = True) -> str:
        began = time.monotonic()
        done = self.program(*words, expect=None)
        taken = time.monotonic() - began
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        name = " ".join(word[:30] for word in words[:5])
        self.figures[name] = f"{taken:.1f} s, {memory} MiB at most, exit {done.code}"
        assert done.code in CODES, (name, done.err[-2000:])
        assert taken < self.limit_s, name
        assert is_clean(done.err), (name, [c for c in done.err if not c.isprintable()][:9])
        if show:
            assert is_clean(done.out), (name, [c for c in done.out if not c.isprintable()][:9])
        return done.out


@pytest.mark.timeout(3600)
def test_bounded_in_time_and_memory_and_without_a_control_character(
    sqlite_archive: Archive, program: Program, is_soak: bool, tmp_path: Path
) -> None:
    count = 10_000 if is_soak else 2 * len(UGLY) * 3
    rows = list(hostile_rows(sqlite_archive, count, tmp_path / "good"))
    insert_rows(sqlite_archive.source, rows)
    sqlite_archive.source.execute(
        "UPDATE files SET size_bytes = 'many', file_location = '/nowhere' WHERE uid LIKE '%10'"
    )
    config = sqlite_archive.project / "des-admin.yaml"
    config.write_text(f"{config.read_text()}migration:\n  max_failure_ratio: 1.0\n")
    run = Measured(program, 300 if is_soak else 60)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    for command in READING:
        run(*command.split())
    for form, commands in FORMATS.items():
        for command in commands:
            check_format(form, run(*command.split(), "--format", form))
    wanted = [row.uid for row in rows if row.location == str(tmp_path / "good")]
    read_back(run, wanted, tmp_path)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    assert after - before < (1500 if is_soak else 400), "MiB"
    assert len(sqlite_archive.exceptions()) >= count // 3
    print(json.dumps(run.figures | {"memory before, after": f"{before}, {after} MiB"}, indent=1))


def read_back(run: Measured, wanted: list[str], directory: Path) -> None:
    """Hostile uids as arguments, in a list, and as the names of files that come out."""
    for uid in wanted[:: max(len(wanted) // 12, 1)]:
        if not uid.startswith("-"):
            run("archive", "has", uid)
            run("archive", "get", uid, "--to", str(directory / "one"), "--force")
    listing, out, day = directory / "list", directory / "out", directory / "day"
    listing.write_bytes(b"".join(uid.encode() + b"\0" for uid in wanted))
    run("archive", "get", "--from-file", str(listing), "-0", "--to", f"{out}/")
    names = sorted(path.name for path in out.iterdir())
    assert len(names) > len(wanted) * 0.9
    listed = json.loads(run("archive", "ls", "--output", "json"))
    run("archive", "export", "--shard", listed["shards"][-1], "--to", f"{day}/")
    for path in [*out.rglob("*"), *day.rglob("*")]:
        assert is_clean(path.name) and not path.name.startswith("-")
        assert path.parent in (out, day)
        assert path.is_file() and not path.is_symlink()
    assert not (directory / "etc").exists()
