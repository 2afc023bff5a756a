"""Rows of an application that means harm, through every command that reads rows."""

import json
import resource
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import cycle, islice

import pytest

from cli.conftest import Archive, Program
from support.rows.bulk import insert_rows
from support.rows.filesdata import FileRow

LONG = 20_000
UGLY = (
    "/x\x1b[31m\x1b]0;owned\x07\r\n[2024-01-01] forged=line",
    "/[bold red]markup[/bold red][link=http://x]y[/link]",
    "=cmd|' /C calc'!A0",
    "/<script>alert(1)</script>&amp;\"'",
    "/%s%(x)s{0}{x!r}${HOME}`id`;rm",
    "/\u202egnp.exe\u200b\ufeff\u2028",
    "/" + "pass" * (LONG // 4),
    "/" + "a://b:" * (LONG // 6),
    "/" + "x/" * (LONG // 2),
    "/proc/self/root/etc/shadow",
    "/dev/zero",
    "/etc/shadow",
    "//../../..//etc/passwd",
    " ",
    "-rf",
    '{"a":' * 1000,
)
COMMANDS = (
    *("run", "doctor --all", "progress", "progress --exact", "progress --daily"),
    *("exceptions list", "exceptions list -o wide", "exceptions list --group-by directory"),
    *("exceptions retry --yes", "reconcile --every-day", "run --dry-run", "watermark show"),
    *("watermark history", "progress --output json", "exceptions list --output json"),
)
CODES = {0, 3, 4}


def hostile_rows(archive: Archive, count: int) -> Iterator[FileRow]:
    start = max(row.created_at for row in archive.table.rows.values())
    for number, text in enumerate(islice(cycle(UGLY), count)):
        uid = f"{number}-{text[:30]}" if number % 3 else f"{number}"
        uid = uid.replace("\0", "")
        yield FileRow(uid, start + timedelta(seconds=number), text, number % 5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_bounded_in_time_and_memory_and_without_a_control_character(
    sqlite_archive: Archive, program: Program, is_soak: bool
) -> None:
    """10,000 of them under `make soak`; the figures are printed with -s."""
    count = 10_000 if is_soak else 320
    insert_rows(sqlite_archive.source, list(hostile_rows(sqlite_archive, count)))
    sqlite_archive.source.execute(
        "UPDATE files SET size_bytes = 'many', file_location = '/nowhere' WHERE uid LIKE '1-%'"
    )
    config = sqlite_archive.project / "des-admin.yaml"
    config.write_text(f"{config.read_text()}migration:\n  max_failure_ratio: 1.0\n")
    figures = {}
    for command in COMMANDS:
        began = time.monotonic()
        done = program(*command.split(), expect=None)
        taken = time.monotonic() - began
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        figures[command] = f"{taken:.1f} s, {memory} MiB at most, exit {done.code}"
        assert done.code in CODES, (command, done.err[-2000:])
        for text in (done.out, done.err):
            shown = [c for c in text if (c < " " and c not in "\n") or c == "\x7f"]
            assert shown == [], (command, shown[:5])
            assert "\u202e" not in text, command
        assert taken < (300 if is_soak else 60), command
    assert len(sqlite_archive.exceptions()) >= count
    print(json.dumps(figures, indent=1))
