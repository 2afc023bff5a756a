"""One way to write a length of time: options, configuration, and beside `now`."""

from datetime import UTC, datetime, timedelta

import pytest

from des_admin.options import seconds
from des_core.basics.durations import ago, parse_duration, parse_seconds
from des_core.basics.errors import UsageError
from des_core.basics.timestamps import parse_time
from des_core.settings.config import MigrationSettings

LENGTHS = {
    "500ms": timedelta(milliseconds=500),
    "90s": timedelta(seconds=90),
    "15m": timedelta(minutes=15),
    "15min": timedelta(minutes=15),
    "1.5h": timedelta(minutes=90),
    "1d": timedelta(days=1),
    "2w": timedelta(weeks=2),
}
NO_LENGTHS = ("", "s", "5", "5 s", "-5s", "1e3s", "5S", "5y", "٣s", "nan", "infs", "9" * 9 + "w")


@pytest.mark.parametrize("text", LENGTHS)
def test_one_grammar_everywhere(text: str) -> None:
    length = LENGTHS[text]
    now = datetime(2024, 11, 1, tzinfo=UTC)
    assert parse_duration(text) == length
    assert parse_seconds(text) == length.total_seconds()
    assert seconds(0)(text) == length.total_seconds()
    assert parse_time(f"-{text}", now=now) == now - length
    assert parse_time(f"+{text}", now=now) == now + length
    if length <= timedelta(days=1):
        settings = MigrationSettings.model_validate({"lock_timeout": text})
        assert settings.lock_timeout == length.total_seconds()


@pytest.mark.parametrize("text", NO_LENGTHS)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="length of time"):
        parse_duration(text)
    with pytest.raises(UsageError, match="not a time"):
        parse_time(f"-{text}", now=datetime(2024, 11, 1, tzinfo=UTC))
    if text != "5":
        with pytest.raises(ValueError, match=r"length of time|calendars"):
            parse_seconds(text)


def test_a_bare_number_is_of_seconds_where_seconds_are_wanted() -> None:
    assert parse_seconds("300") == parse_seconds(" 300.0 ") == 300
    assert seconds(0)(0.5) == 0.5
    with pytest.raises(ValueError, match=r"1 s or more"):
        seconds(1)("999ms")
    with pytest.raises(ValueError, match=r"1 to 60 s"):
        seconds(1, 60)("2m")


@pytest.mark.parametrize(
    ("past_s", "said"),
    [
        *((41, "41 s ago"), (0, "0 s ago"), (-0.9, "0 s ago"), (7200, "2 hours ago")),
        *((-90, "90 s ahead of the clock"), (-3 * 86400, "3 days ahead of the clock")),
    ],
)
def test_how_long_ago_is_never_negative(past_s: float, said: str) -> None:
    assert ago(timedelta(seconds=past_s)) == said
