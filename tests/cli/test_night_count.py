"""The ten situations of a night: how many commands until one knows, and that the cure works.

Each begins on an archive where all is well. Whoever is called types `status` first, then another of
the first screens; `named_by` are those that say what it is. Then the command that they name is
typed, and what `cure` lists, and all is well again.
"""

import os
import re
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from cli.test_night_memory import damaged_shard
from cli.test_night_rows import delete_day
from cli.test_night_watermark import move_by_sql
from des_core.storage.drafts import LocalDraft
from support.crash.truth import check_truth, read_watermark_value
from support.rows.bulk import insert_rows
from support.rows.filesdata import FileRow

# `run` stands last: it may change what the others look at.
FIRST = ("status", "progress", "doctor", "run")
MOST_COMMANDS = 2
BEGIN = datetime(2024, 1, 12, tzinfo=UTC)
# No backup was made, lag_days is not the file's, and a server of a test survives no power cut.
NO_NEWS = {"backup", "watermark", "durability"}


@dataclass
class Night:
    """An archive in which something happens, and the hands that mend what no command can."""

    archive: Archive
    program: Program
    monkeypatch: pytest.MonkeyPatch
    kept: dict[str, bytes] = field(default_factory=dict)
    rows: list[FileRow] = field(default_factory=list)

    @property
    def output(self) -> Path:
        return self.archive.project / "output"

    def write_back(self) -> None:
        for location, content in self.kept.items():
            Path(location).write_bytes(content)

    @property
    def lag_days(self) -> int:
        return int(self.archive.config.value("SELECT lag_days FROM des_archive_config"))

    def set_lag(self, days: int) -> None:
        self.program("watermark", "lag", str(days), "--yes")

    def make_due(self, days: int = 1) -> list[FileRow]:
        """A dozen new files of each of the days after the watermark, which the next run packs."""
        start, rows = read_watermark_value(self.archive.config), []
        for number in range(12 * days):
            moment = start + timedelta(days=number // 12, minutes=number % 12 + 1)
            uid = f"n{len(self.archive.table.rows)}"
            rows.append(self.archive.table.add(uid, moment, uid.encode()))
        self.set_lag(self.lag_days - days)
        return rows


# What happens ---------------------------------------------------------------------------------


def moved_forward(night: Night) -> None:
    move_by_sql(night.archive, 2)


def files_that_cannot_be_packed(night: Night) -> None:
    for row in night.make_due()[:3]:
        night.kept[row.location] = Path(row.location).read_bytes()
        Path(row.location).unlink()
    night.program("run", expect=3)


def an_output_that_is_not_mounted(night: Night) -> None:
    night.output.rename(night.output.with_name("elsewhere"))
    night.output.mkdir()


def mount(night: Night) -> None:
    night.output.rmdir()
    night.output.with_name("elsewhere").rename(night.output)


def a_holder_that_was_killed(night: Night) -> None:
    hold_lock_as(night, socket.gethostname(), "", minutes=-3)


def a_holder_on_another_machine(night: Night) -> None:
    hold_lock_as(night, "node2", "elsewhere", minutes=10)


def hold_lock_as(night: Night, host: str, mark: str, minutes: int) -> None:
    kind = night.archive.config.kind
    now = {"sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now')", "postgres": "now()"}.get(
        kind, "UTC_TIMESTAMP(6)"
    )
    then = {
        "sqlite": f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '{minutes} minutes')",
        "postgres": f"now() + INTERVAL '{minutes} minutes'",
    }.get(kind, f"UTC_TIMESTAMP(6) + INTERVAL {minutes} MINUTE")
    night.archive.config.execute(
        f"UPDATE des_archive_lease SET purpose = 'run', token = 'another', host = '{host}',"
        f" pid = {os.getpid()}, process = '{mark}', acquired_at = {now},"
        f" heartbeat_at = {now}, expires_at = {then} WHERE name = 'writer'"
    )


def a_full_disk(night: Night) -> None:
    night.make_due()

    def sync(_: LocalDraft) -> None:
        raise OSError(28, "No space left on device")

    night.monkeypatch.setattr(LocalDraft, "sync", sync)
    night.program("run", expect=4)
    night.monkeypatch.undo()


def a_damaged_shard(night: Night) -> None:
    damaged_shard(night.archive)
    night.program("verify", expect=20)


def rows_that_are_gone(night: Night) -> None:
    """The newest two days of the table, as after an older copy of it was restored."""
    last = max(row.created_at for row in night.archive.table.rows.values()).date()
    for back in range(2):
        day = last - timedelta(days=back)
        rows = night.archive.table.rows.values()
        night.rows += [row for row in rows if row.created_at.date() == day]
        delete_day(night.archive, day)


def restore_rows(night: Night) -> None:
    insert_rows(night.archive.source, night.rows, night.archive.table.spec.shape)


def sources_that_are_not_mounted(night: Night) -> None:
    """Small slices: one is let through, the second stops the cycle."""
    night.make_due(days=3)
    root = night.archive.table.root
    root.rename(root.with_name("sources-elsewhere"))


def mount_sources(night: Night) -> None:
    root = night.archive.table.root
    shutil.rmtree(root, ignore_errors=True)
    root.with_name("sources-elsewhere").rename(root)


def a_clock_that_was_ahead(night: Night) -> None:
    """What it leaves: a watermark beyond the target of a clock that is right again."""
    night.set_lag(night.lag_days + 3)


def wait_for_the_target(night: Night) -> None:
    night.set_lag(night.lag_days - 3)


@dataclass(frozen=True)
class Situation:
    """`named_by`: the first screens that say `words` (a pattern), and that name `next`.

    `hands` mend what no command can; then `cure` is typed.
    """

    happens: Callable[[Night], None]
    words: str
    named_by: tuple[str, ...]
    next: str
    cure: tuple[str, ...]
    hands: Callable[[Night], None] = lambda _: None


LOOK = ("status", "progress", "doctor")
SITUATIONS = (
    Situation(
        moved_forward,
        "moved forward by SQL",
        FIRST,
        "watermark set {known}",
        ("watermark set {known} --yes", "run"),
    ),
    Situation(
        files_that_cannot_be_packed,
        "but for 3 files not packed|3 open: 3 missing",
        LOOK,
        "exceptions list",
        ("exceptions retry --yes",),
        Night.write_back,
    ),
    Situation(
        an_output_that_is_not_mounted, "not mounted", FIRST, "ledger output", ("run",), mount
    ),
    Situation(a_holder_that_was_killed, "without a word", LOOK, "run", ("run",)),
    Situation(
        a_holder_on_another_machine,
        "run on node2",
        ("status", "run"),
        "lock show",
        ("lock break --yes", "run"),
    ),
    Situation(a_full_disk, "No space left", LOOK, "run", ("run",)),
    Situation(a_damaged_shard, "not sound", LOOK, "verify --repair", ("verify --repair --yes",)),
    Situation(
        rows_that_are_gone,
        "an older copy of it",
        FIRST,
        "reconcile --since {week}",
        ("reconcile", "run"),
        restore_rows,
    ),
    Situation(
        sources_that_are_not_mounted,
        "one after another|is the source mounted",
        ("doctor", "run"),
        "exceptions list",
        ("run", "exceptions retry --yes"),
        mount_sources,
    ),
    Situation(
        a_clock_that_was_ahead,
        "beyond its target",
        LOOK,
        "reconcile",
        (),
        wait_for_the_target,
    ),
)


@pytest.fixture
def night(archive: Archive, program: Program, monkeypatch: pytest.MonkeyPatch) -> Night:
    """An archive where nothing waits and nothing is wrong."""
    night = Night(archive, program, monkeypatch)
    night.set_lag((datetime.now(UTC) - BEGIN).days)
    program("run")
    assert_well(night)
    return night


def test_two_commands_at_most_until_one_knows(night: Night) -> None:
    for situation in SITUATIONS:
        name = situation.happens.__name__
        situation.happens(night)
        said = {first: type_first(night, first) for first in FIRST}
        named_by = tuple(first for first in FIRST if re.search(situation.words, said[first]))
        assert named_by == situation.named_by, f"{name}:\n" + "\n".join(said.values())
        commands = FIRST.index(named_by[0]) + 1 if named_by[0] == FIRST[0] else 2
        assert commands <= MOST_COMMANDS
        filled = fill_in(night)
        following = situation.next.format(**filled)
        for first in named_by:
            assert f"des-admin {following}" in said[first], f"{name}: {first}\n{said[first]}"
        print(f"{name}: {commands}; named by {', '.join(named_by)}; then {following}")
        if not any(typed.startswith(situation.next) for typed in situation.cure):
            night.program(*following.split(), expect=None)
        situation.hands(night)
        for typed in situation.cure:
            night.program(*typed.format(**filled).split())
        assert_well(night)
    check_truth(night.archive.table, night.archive.config, night.output)


def type_first(night: Night, command: str) -> str:
    done = night.program(command, expect=None)
    return done.out + done.err


def fill_in(night: Night) -> dict[str, str]:
    """What stands in hints for this very archive."""
    shown = night.program("watermark", "show", "--output", "json").json
    newest = night.archive.config.value("SELECT MAX(day) FROM des_archive_shard")
    week = datetime.fromisoformat(str(newest)[:10]).date() - timedelta(days=7)
    return {"known": str(shown["known"]), "week": str(week)}


def assert_well(night: Night) -> None:
    """No screen says that anything is wrong."""
    shown = night.program("status", "--output", "json").json
    assert (shown["health"], shown["not_packed"], shown["pending_files"]) == ([], 0, 0)
    assert "caught up" in night.program("progress").out
    checks = night.program("doctor", "--output", "json").json["checks"]
    bad = {check["name"] for check in checks if check["status"] in {"failed", "warning"}}
    assert bad <= NO_NEWS
