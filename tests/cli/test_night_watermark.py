"""A watermark that SQL moved behind our back: which screens name it, and what cures it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.conftest import Archive, Program
from support.crash.truth import check_truth, read_watermark_value

STEP = timedelta(days=2)


def move_by_sql(archive: Archive, days: int) -> datetime:
    """As RUNBOOK says that one may: the new position."""
    moved = read_watermark_value(archive.config) + timedelta(days=days)
    value: Any = moved.replace(tzinfo=None)
    if archive.config.kind == "sqlite":
        value = f"{value:%Y-%m-%d %H:%M:%S.%f}"
    elif archive.config.kind == "postgres":
        value = moved
    archive.config.execute(
        "UPDATE des_archive_config SET archived_until = :moved WHERE id = 1", {"moved": value}
    )
    return moved


def between(archive: Archive, start: datetime, end: datetime) -> set[str]:
    return {uid for uid, row in archive.table.rows.items() if start < row.created_at <= end}


@pytest.fixture
def jumped(archive: Archive) -> tuple[datetime, datetime, set[str]]:
    """Moved forward by two days: where from, where to, and the files between."""
    known = read_watermark_value(archive.config)
    moved = move_by_sql(archive, 2)
    return known, moved, between(archive, known, moved)


def test_every_screen_names_a_move_forward(
    archive: Archive, program: Program, jumped: tuple[datetime, datetime, set[str]]
) -> None:
    known, _, _ = jumped
    place = f"{known:%Y-%m-%dT%H:%M:%S}"
    for command, code in (
        (("doctor",), 4),
        (("watermark", "show"), 0),
        (("watermark", "history", "--check"), 4),
        (("progress",), 0),
    ):
        said = program(*command, expect=code).out
        assert "moved forward by SQL" in said, command
        assert place in said, command
        assert "des-admin watermark adopt" in said, command
        assert "caught up" not in said, command
    shown = program("watermark", "show", "--output", "json").json
    assert shown["origin"] == "moved forward"
    assert "outside of this program" in program("watermark", "show").out


def test_nothing_packs_on_or_retires(
    archive: Archive, program: Program, jumped: tuple[datetime, datetime, set[str]]
) -> None:
    _, moved, _ = jumped
    for command in (
        ("run",),
        ("exceptions", "retry", "--yes"),
        ("compliance", "sync"),
        ("migrate", "down", "--yes"),
        ("migrate", "down", "--dry-run"),
        ("watermark", "advance", "1h", "--confirm", "0"),
    ):
        done = program(*command, expect=4)
        assert "moved forward by SQL" in done.err, command
        assert "des-admin watermark adopt" in done.err, command
    assert read_watermark_value(archive.config) == moved
    assert not list((archive.project / "output").glob("*.des"))


def test_a_mistake_is_taken_back(
    archive: Archive, program: Program, jumped: tuple[datetime, datetime, set[str]]
) -> None:
    known, _, _ = jumped
    program("watermark", "set", known.isoformat(), "--yes", "--reason", "a slip")
    program("run")
    check_truth(archive.table, archive.config, archive.project / "output")
    assert program("watermark", "show", "--output", "json").json["origin"] == "explained"


def test_adopting_captures_what_was_jumped_over(
    archive: Archive, program: Program, jumped: tuple[datetime, datetime, set[str]]
) -> None:
    known, moved, skipped = jumped
    before = archive.exceptions()
    plan = program("watermark", "adopt", "--dry-run", "--output", "json").json
    assert (plan["done"], plan["files"]) == (False, len(skipped))
    program("watermark", "adopt", "--yes", "--reason", "meant", expect=4)
    program("watermark", "adopt", "--confirm", str(len(skipped)), "--reason", "meant")
    assert archive.exceptions() == before | dict.fromkeys(skipped, ("skipped", False))
    action, start, end, reason, _ = archive.events()[-1]
    assert (action, reason) == ("watermark adopt", "meant")
    assert (start, end) == tuple(
        moment.isoformat().replace("+00:00", "Z") for moment in (known, moved)
    )
    program("run")
    program("exceptions", "retry", "--only", "skipped", "--yes")
    assert not check_truth(archive.table, archive.config, archive.project / "output")
    assert program("watermark", "history", "--check").code == 0


def test_adopting_can_forget(
    archive: Archive, program: Program, jumped: tuple[datetime, datetime, set[str]]
) -> None:
    before = archive.exceptions()
    number = str(len(jumped[2]))
    program("watermark", "adopt", "--forget", "--confirm", number, "--reason", "gone")
    assert archive.exceptions() == before
    program("run")


def test_moved_back_is_a_replay_that_is_recorded(archive: Archive, program: Program) -> None:
    program("run")
    known = read_watermark_value(archive.config)
    moved = move_by_sql(archive, -800)
    assert "moved back by SQL" in program("watermark", "show").out
    assert "moved back by SQL" in program("progress").out
    assert "moved back by SQL" in program("doctor").out
    program("watermark", "history", "--check", expect=4)
    program("run", expect=None)
    actions = [action for action, *_ in archive.events()]
    assert "watermark replay" in actions
    _, start, end, _, _ = archive.events()[actions.index("watermark replay")]
    assert (start, end) == tuple(
        moment.isoformat().replace("+00:00", "Z") for moment in (known, moved)
    )
    program("watermark", "history", "--check")
    assert read_watermark_value(archive.config) == known


def test_moved_back_turns_no_exception_around(archive: Archive, program: Program) -> None:
    """A hole between the two positions would read as archived once it lies above the watermark."""
    assert archive.table.holes
    move_by_sql(archive, -6)
    program("run")
    assert not check_truth(archive.table, archive.config, archive.project / "output")


def test_beyond_its_target(archive: Archive, program: Program) -> None:
    """As after a clock that was days ahead: the cycle itself moved it there."""
    archive.table.add("9", datetime.now(UTC) - timedelta(days=1))
    program("run")
    program("watermark", "lag", "30", "--yes")
    for command in (("watermark", "show"), ("progress",), ("doctor",)):
        assert "beyond its target" in program(*command).out, command
