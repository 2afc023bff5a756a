"""How our own tables store a time, per dialect. `files` has its own rules: see source_schema."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import NullType, TypeDecorator

from des_core.basics.errors import WrongSchema
from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import canonical_text, parse_stored


def to_stored(moment: datetime, dialect: Dialect) -> object:
    """The value to bind: aware on PostgreSQL, naive UTC on MySQL, canonical text on SQLite."""
    if dialect is Dialect.POSTGRES:
        return moment.astimezone(UTC)
    if dialect is Dialect.MYSQL:
        return moment.astimezone(UTC).replace(tzinfo=None)
    return canonical_text(moment)


def optional_to_stored(moment: datetime | None, dialect: Dialect) -> object:
    """`to_stored`, or None for None."""
    return None if moment is None else to_stored(moment, dialect)


def from_stored(value: object) -> datetime:
    """Aware UTC of what one of our columns holds; also what an operator's own SQL put there."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        return parse_stored(str(value))
    except ValueError as exc:
        raise WrongSchema(
            "one of our tables holds a value that is not a time",
            hint="set it to a time like '2024-11-01 00:00:00.000000'",
            value=repr(value),
        ) from exc


def optional_from_stored(value: object) -> datetime | None:
    """`from_stored`, or None for None."""
    return None if value is None else from_stored(value)


def day_to_stored(day: date, dialect: Dialect) -> object:
    """A UTC day: a date, or its ISO text on SQLite."""
    return day.isoformat() if dialect is Dialect.SQLITE else day


def day_from_stored(value: object) -> date:
    """The UTC day that a column of ours holds."""
    return value if isinstance(value, date) else date.fromisoformat(str(value))


class Stored(TypeDecorator[Any]):
    """The type of every bound parameter: times and days as our own tables hold them.

    An aware time is of ours. A naive one is already as the application's table wants it.
    """

    impl = NullType
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        if isinstance(value, datetime):
            return value if value.tzinfo is None else to_stored(value, _KINDS[dialect.name])
        if isinstance(value, date):
            return day_to_stored(value, _KINDS[dialect.name])
        return value


_KINDS = {
    "postgresql": Dialect.POSTGRES,
    "mysql": Dialect.MYSQL,
    "mariadb": Dialect.MYSQL,
    "sqlite": Dialect.SQLITE,
}
