"""Rows left out by the database are never a worker's own, whatever uids look like."""

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from des_core.basics.identifiers import Dialect
from des_core.database.connections import open_database
from des_core.database.routing_sql import Filtering
from des_core.rows.reader import SourceReader
from des_core.rows.share import Share, own_rows
from des_core.settings.config import DatabaseSettings
from support.rows.filesdata import FileRow, FilesTableFactory
from support.rows.shape import TableShape
from support.servers.database import TestDatabase

FIRST = datetime(2024, 1, 1, 12, tzinfo=UTC)
LAST = FIRST + timedelta(days=30)
TOTALS = (2, 3, 7)
ODD_UIDS = (
    "0",
    "007",
    "18446744073709551615",
    "9" * 40,
    "1" + "0" * 200,
    "-5",
    "+5",
    " 5",
    "5 5",
    "12\n",
    "12\t",
    "1.0",
    "1e3",
    "0x10",
    "١٢٣",
    "１２３",
    "12３",
    "a１",
    "żółć",
    "日本語",
    "𝟙𝟚",
    "emoji-🗄",
    "quote'\"`",
    "back\\slash",
    "per%cent",
    "col:on",
    "_",
    *(f"doc-{number}.txt" for number in range(60)),
    *(str(10**15 + number * 7919) for number in range(60)),
)


def _digits_in_ascii(uid: str) -> str:
    return "".join(str(unicodedata.decimal(letter, letter)) for letter in uid)


def rows_of(uids: tuple[str, ...]) -> tuple[FileRow, ...]:
    return tuple(
        FileRow(uid, FIRST + timedelta(minutes=number), f"/x/{number}", number)
        for number, uid in enumerate(uids)
    )


@pytest.fixture
def read(request: pytest.FixtureRequest) -> Iterator[Any]:
    opened = []

    def make(database: TestDatabase, shape: TableShape) -> SourceReader:
        source = open_database(database.url)
        opened.append(source)
        settings = DatabaseSettings.model_validate(
            {"url": database.url, "page_size": 50, **shape.settings()}
        )
        return SourceReader(source, settings)

    yield make
    for source in opened:
        source.close()


def uids_read(reader: SourceReader, share: Share | None) -> list[str]:
    pages = reader.rows(FIRST - timedelta(days=1), LAST, share=share)
    return [row.uid for page in pages for row in page]


@pytest.mark.parametrize("uid_type", ["text", "integer", "uuid"])
def test_the_shares_are_all_rows_and_none_is_left_out(
    database: TestDatabase, files_table: FilesTableFactory, read: Any, uid_type: Any
) -> None:
    shape = TableShape(uid_type=uid_type)
    uids = ODD_UIDS
    if database.server == "mysql":
        # Its collation takes digits of every script for one another: one of them may be there.
        uids = tuple({_digits_in_ascii(uid): uid for uid in reversed(ODD_UIDS)}.values())
    if uid_type == "integer":
        uids = tuple(str(number) for number in (0, 1, -1, -16, 2**62, *range(10**12, 10**12 + 99)))
    elif uid_type == "uuid":
        uids = ()
    files_table(database, rows=80, days=3, shape=shape, extra=rows_of(uids), files=False)
    reader = read(database, shape)
    everything = sorted(uids_read(reader, None))
    assert len(everything) == 80 + len(uids)
    for total in TOTALS:
        found: list[str] = []
        for worker_id in range(total):
            share = Share(worker_id, total, 5)
            pages = reader.rows(FIRST - timedelta(days=1), LAST, share=share)
            found += [row.uid for page in pages for row in own_rows(page, share)]
        assert sorted(found) == everything


@pytest.mark.parametrize("uid_type", ["text", "integer", "uuid"])
def test_the_database_leaves_out_what_it_says(
    database: TestDatabase, files_table: FilesTableFactory, read: Any, uid_type: Any
) -> None:
    shape = TableShape(uid_type=uid_type)
    files_table(database, rows=600, days=3, shape=shape, files=False)
    reader = read(database, shape)
    assert reader.filtering == expected_filtering(reader, uid_type)
    share = Share(1, 3, 8)
    seen = uids_read(reader, share)
    own = [uid for uid in seen if share.owns_uid(uid)]
    if reader.filtering is Filtering.IN_DATABASE:
        assert seen == own
    elif reader.filtering is Filtering.NUMBERS_IN_DATABASE:
        assert all(share.owns_uid(uid) for uid in seen if uid.isdecimal())
        names = 600 if uid_type == "uuid" else 400
        assert len(seen) == names + sum(uid.isdecimal() for uid in own)
    else:
        assert len(seen) == 600


def expected_filtering(reader: SourceReader, uid_type: str) -> Filtering:
    dialect = reader.schema.dialect
    if dialect is Dialect.MYSQL or uid_type == "integer":
        return Filtering.IN_DATABASE
    if dialect is Dialect.POSTGRES and reader.schema.has_crc32:
        return Filtering.IN_DATABASE
    if dialect is Dialect.SQLITE or uid_type == "text":
        return Filtering.NUMBERS_IN_DATABASE
    return Filtering.HERE
