"""Whether a key of `files` sees to it that no two rows have one uid.

Asked of the server, which says more than a name and columns: an index that could not be built
because two rows had one uid is still there on PostgreSQL, and holds nobody to anything; its child
tables have keys of their own; a key of MariaDB may allow one uid in each period.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from des_core.basics.identifiers import Dialect
from des_core.database.transaction import Transaction
from des_core.settings.config import DatabaseSettings

if TYPE_CHECKING:
    from sqlalchemy.engine import Inspector
    from sqlalchemy.engine.interfaces import ReflectedColumn


def uid_is_unique(
    tx: Transaction, inspector: Inspector, settings: DatabaseSettings, uid: ReflectedColumn | None
) -> bool:
    """Whether the primary key, or a unique index of all rows, is on the uid alone."""
    table, dialect = settings.table, tx.dialect
    if dialect is Dialect.SQLITE:
        if uid is None or isinstance(uid["type"], sa.types.NullType):
            return False  # the number 1 and the text '1' are two uids there, and one here
        # A key that is the rowid itself has no index.
        key = inspector.get_pk_constraint(table.name, table.schema)["constrained_columns"]
        if list(key) == [settings.uid_column]:
            return True
    rows: list[Any] = list(tx.run("migration_indexes", table.values(dialect)))
    indexes = (list(group) for _name, group in groupby(rows, key=lambda row: str(row.name)))
    return any(
        [row.column_name for row in index] == [settings.uid_column]
        and bool(index[0].is_unique)
        and index[0].predicate is None
        for index in indexes
    )
