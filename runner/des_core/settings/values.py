"""Values of the configuration: numbers, lengths of time, moments, names of columns and zones."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field

from des_core.basics.durations import parse_seconds
from des_core.basics.object_config import is_object_url
from des_core.basics.timestamps import parse_stored, require_range


def _reject_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")  # noqa: TRY004 - pydantic reads ValueError
    return value


def _zone_name(value: str) -> str:
    if value.upper() != "UTC":
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise ValueError("not a time zone of the tz database, e.g. Europe/Warsaw") from exc
    return value


def _moment(value: Any) -> Any:
    if isinstance(value, datetime):
        value = value.isoformat()
    if not isinstance(value, str):
        raise ValueError("a time is wanted, like 2024-11-01T00:00:00Z")  # noqa: TRY004
    return require_range(parse_stored(value))


def _duration_s(value: Any) -> Any:
    """Seconds, from a number or from `500ms`, `2s`, `5m`, `1h`."""
    return parse_seconds(value) if isinstance(value, str) else value


def _without_login(value: str) -> str:
    """A path, or a URL in which no credentials stand: it may be printed, and put into any file."""
    _, mark, rest = value.partition("://")
    if not mark:
        return value
    host, _, path = rest.partition("/")
    if is_object_url(value):
        # Azure writes a container like a user; a key may have any sign in it.
        is_plain = ":" not in host and not ("?" in path and "=" in path)
    else:
        is_plain = not any(sign in rest for sign in "@?#")
    if not is_plain:
        raise ValueError(
            "a URL without login and options is wanted: credentials belong into the environment"
        )
    return value


Whole = Annotated[int, BeforeValidator(_reject_bool)]
Seconds = Annotated[float, BeforeValidator(_duration_s), Field(gt=0, le=86_400)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
ZoneName = Annotated[str, AfterValidator(_zone_name)]
Place = Annotated[str, Field(min_length=1), AfterValidator(_without_login)]
ColumnName = Annotated[str, Field(min_length=1, max_length=256)]
