"""Rows of `files` as they come: the window of a slice, read once, in bounded memory."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import DBAPIError

from des_core.basics.errors import WrongSchema
from des_core.basics.identifiers import Dialect
from des_core.basics.routing import bucket_count
from des_core.basics.timestamps import LATEST, from_us, localize, to_us
from des_core.database.catalog import Catalog, Statement
from des_core.database.connections import Database
from des_core.database.routing_sql import Filtering, filtering_of
from des_core.database.stored_time import from_stored, optional_from_stored
from des_core.database.transaction import Transaction, keyset_pages
from des_core.records import SourceRow
from des_core.rows.schema import SourceSchema, inspect_source, source_catalog
from des_core.rows.share import Share
from des_core.rows.values import NO_SIZE, any_text, location_text, uid_text
from des_core.settings.config import DatabaseSettings

# A page is as many rows as wanted, or fewer of long ones: this bounds what one may hold.
PAGE_CHARS = 8 << 20
BUFFERED_ROWS = 200
LONG_ROW = 1024
MAX_LOCATION = 4200
MAX_SIZE = 2**63 - 1
# The columns of a page's last row that the next page goes on from.
PAGE_KEY = {"page_created_at": "page_created_at", "page_key": "page_key"}
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class WindowStats:
    """What lies in a window. `size_bytes` is None where the table has no sizes."""

    files: int
    oldest: datetime | None
    newest: datetime | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class SourceClock:
    """The server's time and what is still open on it.

    `hidden_sessions` counts sessions whose transactions this user may not see: with any of
    them, `oldest_transaction` is only a part of the truth.
    """

    now: datetime
    oldest_transaction: datetime | None
    hidden_sessions: int


class SourceReader:
    """Reads `files`. Every statement is bounded by a window of created_at, or by one key."""

    def __init__(self, database: Database, settings: DatabaseSettings) -> None:
        self.database = database
        self.settings = settings
        self.schema: SourceSchema = inspect_source(database, settings)
        self.catalog: Catalog = source_catalog(self.schema, settings)

    def rows(
        self,
        start: datetime,
        end: datetime,
        *,
        statement: str = "window_rows",
        share: Share | None = None,
    ) -> Generator[list[SourceRow], None, None]:
        """The rows of `(start, end]` in pages of `page_size`, in no promised order.

        `statement` may name another one of the same shape, as `pending_rows` is. With a `share`,
        rows of other workers are left out as far as the database can tell: see `filtering`.
        PostgreSQL and MySQL stream one statement, which sees one snapshot and blocks no writer;
        SQLite, where a reader would block writers, reads each page on its own.
        """
        if start >= end:
            return
        chosen = self.catalog.get(statement if share is None else "worker_rows")
        values = self.schema.window(start, end)
        if share is not None:
            values |= {
                "bucket_mask": bucket_count(share.n_bits) - 1,
                "workers_total": share.workers_total,
                "worker_id": share.worker_id,
            }
        if self.database.dialect is Dialect.POSTGRES:
            yield from self._copied_rows(chosen, values)
        elif self.database.dialect is Dialect.MYSQL:
            yield from self._streamed_rows(chosen, values)
        else:
            yield from self._paged_rows(chosen, values)

    @property
    def filtering(self) -> Filtering:
        """Who leaves out the rows of other sharded workers."""
        return filtering_of(self.schema.uid_kind, has_crc32=self.schema.has_crc32)

    def stats(self, start: datetime, end: datetime) -> WindowStats:
        """Count, oldest, newest and bytes of `(start, end]`, by the index on created_at."""
        if start >= end:
            return WindowStats(0, None, None, 0 if self.schema.has_size else None)
        with self.database.read() as tx:
            values = self.schema.window(start, end)
            row = tx.run(self.catalog.get("window_stats"), values).one()
        return self._stats_of(row)

    def count(self, start: datetime, end: datetime) -> int:
        """How many rows `(start, end]` has, by the index on created_at alone."""
        if start >= end:
            return 0
        with self.database.read() as tx:
            values = self.schema.window(start, end)
            return int(tx.run(self.catalog.get("window_count"), values).scalar_one())

    def _stats_of(self, row: Any) -> WindowStats:
        return WindowStats(
            files=int(row.files),
            oldest=None if row.oldest is None else self.schema.from_db(row.oldest),
            newest=None if row.newest is None else self.schema.from_db(row.newest),
            # What is no size counts as -1 in the sum.
            size_bytes=max(0, int(row.size_bytes or 0)) if self.schema.has_size else None,
        )

    def samples(self, windows: Sequence[tuple[datetime, datetime]], size: int) -> list[WindowStats]:
        """As `stats`, of the oldest `size` rows of each window: bounded however large it is.

        All in one transaction: with a few rows in each, beginning one takes longer than reading.
        """
        statement = self.catalog.get("window_sample")
        with self.database.read() as tx:
            return [
                self._stats_of(tx.run(statement, values | {"sample_size": size}).one())
                for values in (self.schema.window(start, end) for start, end in windows)
            ]

    def first_rows(
        self, windows: Sequence[tuple[datetime, datetime]], size: int
    ) -> list[list[SourceRow]]:
        """The oldest `size` rows of each window, all in one transaction."""
        statement = self.catalog.get("window_head")
        with self.database.read() as tx, any_text(tx.connection):
            return [
                self._localized([_row_of(row) for row in tx.run(statement, values)])
                for values in (
                    self.schema.window(start, end) | {"sample_size": size} for start, end in windows
                )
            ]

    def estimated_rows(self) -> int | None:
        """How many rows the table has, by the server's own statistics; None where it has none."""
        table = self.settings.table
        statement = self.catalog.get("estimated_rows")
        values: dict[str, object] = {}
        if self.database.dialect is Dialect.POSTGRES:
            values = {"table_name": table.quoted(Dialect.POSTGRES)}
        elif self.database.dialect is Dialect.MYSQL:
            values = {"schema_name": table.schema, "table_only": table.name}
        elif self.schema.row_key == self.settings.uid_column:
            return None  # a table without rowid
        with self.database.read() as tx:
            value = tx.run(statement, values).scalar()
        return int(value) if value else None

    def last_created_at(self, start: datetime, end: datetime) -> datetime | None:
        """The newest created_at in `(start, end]`, or None."""
        return self._edge("window_last", start, end)

    def first_created_at(self, start: datetime, end: datetime) -> datetime | None:
        """The oldest created_at in `(start, end]`, or None: skips what holds no rows."""
        return self._edge("window_first", start, end)

    def _edge(self, name: str, start: datetime, end: datetime) -> datetime | None:
        if start >= end:
            return None
        with self.database.read() as tx:
            values = self.schema.window(start, end)
            value = tx.run(self.catalog.get(name), values).scalar()
        return None if value is None else self.schema.from_db(value)

    def clock(self) -> SourceClock:
        """The server's time and its oldest open transaction."""
        try:
            with self.database.read() as tx:
                row = tx.run(self.catalog.get("source_clock")).one()
        except WrongSchema:
            raise
        except Exception as exc:
            if not _is_denied(exc):
                raise
            with self.database.read() as tx:
                now = tx.run(self.catalog.get("source_now")).scalar_one()
            return SourceClock(from_stored(now), None, hidden_sessions=1)
        return SourceClock(
            now=from_stored(row.now),
            oldest_transaction=optional_from_stored(row.oldest_transaction),
            hidden_sessions=int(row.hidden_sessions),
        )

    def lookup(self, keys: Iterable[tuple[str, datetime]]) -> Iterator[SourceRow | None]:
        """The row of each (uid, created_at) as it is now, or None where none was found.

        By a range of the column's own values: several of them may stand for one instant, as those
        of the hour that the clocks of a zone skip do.
        """
        statement = self.catalog.get("row_by_key")
        with self.database.read() as tx, any_text(tx.connection):
            for uid, created_at in keys:
                yield self._lookup_one(tx, statement, uid, created_at)

    def is_gone(self, uid: str, created_at: datetime) -> bool:
        """Whether it is proved that a row which `lookup` did not find is not in the table.

        Its uid has no row at all, which only a key on uid can say, and there are newer rows: the
        table is not an older copy of itself. False where that cannot be told.
        """
        if not self.schema.uid_is_unique:
            return False
        try:
            values = self.schema.uid_values(uid)
        except ValueError:
            return False
        with self.database.read() as tx:
            if tx.run(self.catalog.get("row_of_uid"), values).first() is not None:
                return False
        return self.first_created_at(created_at, LATEST) is not None

    def _lookup_one(
        self, tx: Transaction, statement: Statement, uid: str, created_at: datetime
    ) -> SourceRow | None:
        try:
            values = self.schema.window(created_at - MICROSECOND, created_at)
            values |= self.schema.uid_values(uid)
        except ValueError:
            return None
        row: Any = tx.run(statement, values).first()
        if row is None:
            return None
        location = location_text(row.location)
        return SourceRow(uid, to_us(created_at), location, _size(row.size_bytes))

    def _copied_rows(
        self, statement: Statement, values: dict[str, object]
    ) -> Iterator[list[SourceRow]]:
        sql = str(statement.clause.compile(dialect=self.database.engine.dialect))
        with self.database.read() as tx:
            cursor = tx.connection.connection.cursor()
            try:
                with cursor.copy(f"COPY ({sql}) TO STDOUT", values) as copy:
                    copy.set_types(["text", "int8", "text", "int8"])
                    for page in cut_pages(map(_copied_row, copy.rows()), self.settings.page_size):
                        yield self._localized(page)
            except self.database.engine.dialect.loaded_dbapi.Error as exc:
                # The driver's own, past SQLAlchemy: as of any other statement.
                raise DBAPIError(None, None, exc) from exc

    def _streamed_rows(
        self, statement: Statement, values: dict[str, object]
    ) -> Iterator[list[SourceRow]]:
        with self.database.read() as tx:
            tx.connection.execution_options(stream_results=True, max_row_buffer=BUFFERED_ROWS)
            result = tx.run(statement, values)
            for page in cut_pages(map(_row_of, result), self.settings.page_size):
                yield self._localized(page)

    def _paged_rows(
        self, statement: Statement, values: dict[str, object]
    ) -> Iterator[list[SourceRow]]:
        def read(bound: dict[str, Any]) -> list[Any]:
            page: list[Any] = []
            with self.database.read() as tx, any_text(tx.connection):
                for rows in tx.run(statement, bound).partitions(BUFFERED_ROWS):
                    page += rows
                    if sum(map(_length_as_read, rows)) >= PAGE_CHARS:
                        break
            return page

        size = self.settings.page_size
        first = values | {"page_size": size, "page_created_at": values["net_start"], "page_key": 0}
        for rows in keyset_pages(read, first, PAGE_KEY, may_be_short=True):
            yield from cut_pages(map(_row_of, rows), size)

    def _localized(self, page: list[SourceRow]) -> list[SourceRow]:
        """Microseconds that were counted as if UTC, moved into the zone of the table."""
        zone = self.schema.zone
        if self.schema.created_at_kind != "naive" or str(zone) == "UTC":
            return page
        return [
            row._replace(
                created_us=to_us(localize(from_us(row.created_us).replace(tzinfo=None), zone))
            )
            for row in page
        ]


def cut_pages(rows: Iterable[SourceRow], page_size: int) -> Iterator[list[SourceRow]]:
    """Pages of so many rows, or fewer where the rows are long; no location is longer than any path.

    An object key and a path are shorter, so what is cut off was of no use.
    """
    page: list[SourceRow] = []
    held = 0
    for row in rows:
        length = _length(row)
        if length > LONG_ROW:
            page.append(row._replace(location=(row[2] or "")[:MAX_LOCATION] or row[2]))
            length = _length(page[-1])
        else:
            page.append(row)
        held += length
        if len(page) >= page_size or held >= PAGE_CHARS:
            yield page
            page, held = [], 0
    if page:
        yield page


def _length(row: SourceRow) -> int:
    return len(row[0]) + len(row[2] or "")


def _length_as_read(row: Any) -> int:
    return sum(len(value) for value in (row[0], row[2]) if isinstance(value, str | bytes))


def _copied_row(row: Any) -> SourceRow:
    return SourceRow._make(row) if row[0] is not None else _row_of(row)


def _row_of(row: Any) -> SourceRow:
    """Of drivers and databases that let anything stand in a column."""
    uid, location = row[0], row[2]
    return SourceRow(
        uid if type(uid) is str else uid_text(uid),
        int(row[1]),
        location if type(location) is str else location_text(location),
        _size(row[3]),
    )


def _size(value: Any) -> int | None:
    """What is no size of a file is one that no file has: the row becomes an exception."""
    if value is None:
        return None
    try:
        size = int(value)
    except (ValueError, TypeError, OverflowError):
        return NO_SIZE
    return size if 0 <= size <= MAX_SIZE else NO_SIZE


def _is_denied(exc: BaseException) -> bool:
    cause = exc.__cause__ or exc
    if not isinstance(cause, DBAPIError):
        return False
    arguments: tuple[Any, ...] = getattr(cause.orig, "args", ())
    return bool(arguments) and arguments[0] in {1227, 1142}
