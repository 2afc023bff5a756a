"""Cron schedules: gaps between ticks, and the same for systemd."""

import subprocess

import pytest

from des_admin.deployment.schedule import parse_schedule
from des_core.basics.errors import UsageError
from support.pages.tools import require_tool

HOUR, DAY = 3600, 86_400


@pytest.mark.parametrize(
    ("text", "shortest", "longest"),
    [
        ("0 * * * *", HOUR, HOUR),
        ("@hourly", HOUR, HOUR),
        ("*/15 * * * *", 900, 900),
        ("* * * * *", 60, 60),
        ("0,5 * * * *", 300, 3300),
        ("0 1 * * *", DAY, DAY),
        ("0 8-18 * * mon-fri", HOUR, 2 * DAY + 14 * HOUR),
        ("0 0 * * 0", 7 * DAY, 7 * DAY),
        ("0 0 * * 7", 7 * DAY, 7 * DAY),
        ("30 2 1 jan,jul *", 181 * DAY, 184 * DAY),
        ("0 0 1 * mon", DAY, 7 * DAY),
        ("7/20 0 * * *", 1200, DAY - 2400),
    ],
)
def test_gaps(text: str, shortest: int, longest: int) -> None:
    schedule = parse_schedule(text)
    assert (schedule.shortest_gap_s, schedule.longest_gap_s) == (shortest, longest)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("0 * * * *", ["*-*-* *:00:00"]),
        ("*/15 * * * *", ["*-*-* *:00,15,30,45:00"]),
        ("30 2 * * 0", ["Sun *-*-* 02:30:00"]),
        ("0 0 1 jan *", ["*-01-01 00:00:00"]),
        ("0 0 1 * mon", ["*-*-01 00:00:00", "Mon *-*-* 00:00:00"]),
        ("0 8-10 * * 1-5", ["Mon,Tue,Wed,Thu,Fri *-*-* 08,09,10:00:00"]),
    ],
)
def test_on_calendar(text: str, lines: list[str]) -> None:
    assert parse_schedule(text).on_calendar == lines


@pytest.mark.parametrize("text", ["0 * * * *", "7/20 0 1,15 * sun", "30 2 1 jan,jul *"])
def test_systemd_understands_it(text: str) -> None:
    analyze = require_tool("systemd-analyze", in_ci=False)
    for line in parse_schedule(text).on_calendar:
        done = subprocess.run(
            [analyze, "calendar", f"{line} UTC"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hourly",
        "0 * * *",
        "60 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 * 13 *",
        "5-1 * * * *",
        "*/0 * * * *",
        "a * * * *",
        "0 0 30 2 *",
        "0 0 * * 8",
        "-1 * * * *",
    ],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="schedule"):
        parse_schedule(text)
