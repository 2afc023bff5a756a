"""Values of the configuration: numbers, lengths of time, moments, names; and what a section is."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from des_core.basics.durations import parse_seconds
from des_core.basics.object_config import is_object_url
from des_core.basics.timestamps import parse_stored, require_range

NO_LOGIN = "a URL without login and options is wanted: credentials belong into the environment"
# Names of options that tell who may come in; one without a name may be anything.
_TELLING = re.compile(r"pass|pwd|secret|token|key|sig|auth|cred|^[^=]+$", re.IGNORECASE)
# A URL whose scheme or slashes were forgotten: `user:password@host`, `http:/user:password@host`.
_BARE_LOGIN = re.compile(r"(?:[A-Za-z][\w+.-]*+:/?|//)?[^/\s@:]++:[^\s@]*+@")


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


def without_login(value: Any) -> Any:
    """A value that holds no URL with credentials: it may be printed, and put into any file.

    Whatever may hold some is a SecretStr, and masked; every other text of the configuration comes
    through here. ValueError says where credentials belong.
    """
    if isinstance(value, tuple | frozenset):
        for item in value:
            without_login(item)
    elif isinstance(value, str) and (
        not _is_plain(value) if "://" in value else _BARE_LOGIN.match(value)
    ):
        raise ValueError(NO_LOGIN)
    return value


def _is_plain(value: str) -> bool:
    rest = value.partition("://")[2]
    host, _, path = rest.partition("/")
    if is_object_url(value):
        # Azure writes a container like a user; a key may have any sign in it.
        return ":" not in host and not ("?" in path and "=" in path)
    options = rest.partition("?")[2]
    return "@" not in rest and "#" not in rest and _TELLING.search(options) is None


def _without_options(value: str) -> str:
    """A place that is read from or written to: its URL needs no options, whatever their names."""
    if "://" in value and not is_object_url(value) and "?" in value:
        raise ValueError(NO_LOGIN)
    return value


Whole = Annotated[int, BeforeValidator(_reject_bool)]
Seconds = Annotated[float, BeforeValidator(_duration_s), Field(gt=0, le=86_400)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
ZoneName = Annotated[str, AfterValidator(_zone_name)]
Place = Annotated[str, Field(min_length=1), AfterValidator(_without_options)]
ColumnName = Annotated[str, Field(min_length=1, max_length=256)]


class Section(BaseModel):
    """Frozen, and strict about unknown keys; input is never echoed in an error.

    What may hold credentials is a SecretStr, and no other text of any section does.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True
    )
    _no_logins = field_validator("*", mode="after")(without_login)
