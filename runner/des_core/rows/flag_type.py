"""Which types a column archived may have: those in which a row says yes or no and nothing else.

`archived = TRUE` compares a text by a cast and an ENUM by its index: such a column would read as
archived or not by accident. A number other than 0 and 1 counts as not archived everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import ReflectedColumn

from des_core.basics.identifiers import Dialect
from des_core.settings.config import DatabaseSettings

FLAG_HINT = (
    "make it a boolean, with 0 and 1 for what it says now, before anything else:"
    " ALTER TABLE, in a quiet hour"
)


def flag_fault(
    columns: Mapping[str, ReflectedColumn], settings: DatabaseSettings, dialect: Dialect
) -> str | None:
    """What is wrong with the column archived; None where it is right, or not there."""
    column = columns.get(settings.archived_column or "archived")
    if column is None:
        return None
    if column.get("computed") is not None:
        return (
            f"the column {column['name']} of {settings.table} is computed by the server, so that"
            " nothing can be written into it"
        )
    if _is_flag(column["type"], dialect):
        return None
    return (
        f"the column {column['name']} of {settings.table} has the type {column['type']},"
        " which does not say yes or no"
    )


def _is_flag(kind: Any, dialect: Dialect) -> bool:
    """The types of a database are loaded with its driver, and each costs a start some time."""
    if dialect is Dialect.POSTGRES:
        from sqlalchemy.dialects import postgresql

        if isinstance(kind, postgresql.DOMAIN):
            return isinstance(kind.data_type, sa.Boolean)
        return isinstance(kind, sa.Boolean)
    if dialect is Dialect.MYSQL:
        from sqlalchemy.dialects import mysql

        is_bit = isinstance(kind, mysql.BIT) and kind.length in (None, 1)
        return is_bit or isinstance(kind, sa.Boolean | sa.Integer)
    return isinstance(kind, sa.Boolean | sa.Integer | sa.Numeric | sa.types.NullType)
