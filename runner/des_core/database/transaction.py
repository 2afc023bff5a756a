"""A transaction, by which every statement is run: it knows the statements of its dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from des_core.basics.batches import batched
from des_core.basics.errors import Refused
from des_core.basics.identifiers import Dialect
from des_core.database.catalog import Statement, config_statement

if TYPE_CHECKING:
    from sqlalchemy import CursorResult, Row
    from sqlalchemy.engine import Connection

BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction of one database.

    `connection` is SQLAlchemy's, for what no named statement says: reflection, streams.
    """

    connection: Connection
    dialect: Dialect

    def run(
        self, statement: str | Statement, values: Mapping[str, Any] | None = None
    ) -> CursorResult[Any]:
        """Execute a statement with bound values: one on our own tables by its name."""
        return self._execute(self._named(statement), dict(values or {}), rows=1)

    def run_many(self, statement: str | Statement, rows: Iterable[dict[str, Any]]) -> int:
        """Execute it for each row, some hundreds at a time; how many rows there were."""
        named = self._named(statement)
        total = 0
        for batch in batched(rows, BATCH_SIZE):
            self._execute(named, batch, rows=len(batch))
            total += len(batch)
        return total

    def pages(
        self, statement: str | Statement, values: Mapping[str, Any], **keys: str
    ) -> Iterator[Sequence[Row[Any]]]:
        """The rows in keyset pages, all in this transaction; see `keyset_pages`."""
        return keyset_pages(lambda bound: self.run(statement, bound).all(), values, keys)

    def _execute(
        self, statement: Statement, values: dict[str, Any] | list[dict[str, Any]], *, rows: int
    ) -> CursorResult[Any]:
        """Refused where an INSERT wrote less than it was given, which a trigger may do in silence.

        MySQL's triggers can't, and its count of an upsert that changed nothing is 0.
        """
        result = self.connection.execute(statement.clause, values)
        if not statement.adds_rows or self.dialect is Dialect.MYSQL or result.rowcount >= rows:
            return result
        raise Refused(
            f"the database took {max(result.rowcount, 0)} of {rows} rows and named no error: a "
            f"trigger or a rule on {statement.touches} keeps them back; nothing was recorded",
            hint=f"list the triggers and rules on {statement.touches}, drop what is not of this "
            "program, then run the same command again",
            table=statement.touches,
        )

    def _named(self, statement: str | Statement) -> Statement:
        if isinstance(statement, str):
            return config_statement(self.dialect, statement)
        return statement


def keyset_pages(
    read: Callable[[dict[str, Any]], Sequence[Row[Any]]],
    values: Mapping[str, Any],
    keys: Mapping[str, str],
    *,
    may_be_short: bool = False,
) -> Iterator[Sequence[Row[Any]]]:
    """Pages of `values["page_size"]` rows, each from after the last row of the one before.

    `keys` names the column of that row which each parameter goes on from: `after_id: slice_id`.
    A page may begin with the row that it goes on from. With `may_be_short`, only an empty page is
    the last one.
    """
    bound = dict(values)
    while rows := read(bound):
        yield rows
        if len(rows) < bound["page_size"] and not may_be_short:
            return
        after = {parameter: getattr(rows[-1], column) for parameter, column in keys.items()}
        if after.items() <= bound.items():
            raise Refused(
                "more rows than fit into a page have the same key",
                hint="find them: des-admin doctor",
                **{column: getattr(rows[-1], column) for column in keys.values()},
            )
        bound |= after
