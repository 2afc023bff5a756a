"""A dump of mysqldump or mariadb-dump, read as a stream: is it whole, does it hold each table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from des_core.backup.findings import Finding, Level, Severity
from des_core.backup.manifest import TableNumbers
from des_core.basics.identifiers import Dialect, quote

TAIL_BYTES = 4096
# A statement's first words and a quoted name of 64 characters, four bytes each, doubled quotes.
_OVERLAP_BYTES = 640
_CREATE = b"\nCREATE TABLE "
_INSERT = b"\nINSERT INTO "
# Data never holds a line feed of its own (the dumper writes \n for it), so at the start of a line
# these words are the dumper's.
_CLOSING = re.compile(rb"(?:\A|\n)-- Dump completed(?: on [^\n]*)?\s*\Z")


def examine_stream(
    stream: Iterable[bytes], name: str, wanted: Mapping[str, TableNumbers]
) -> Iterator[Finding]:
    """What is missing in a decompressed dump. `wanted` is by table name without a schema."""
    missing_create = {_needle(_CREATE, table): table for table in wanted}
    missing_rows = {
        _needle(_INSERT, table): table for table, numbers in wanted.items() if numbers.rows
    }
    window, tail, size_bytes = b"\n", b"", 0
    for chunk in stream:
        if not chunk:
            continue
        size_bytes += len(chunk)
        window = window[-_OVERLAP_BYTES:] + chunk
        for missing in (missing_create, missing_rows):
            for needle in [needle for needle in missing if needle in window]:
                del missing[needle]
        tail = (tail + chunk)[-TAIL_BYTES:]
    if not size_bytes:
        yield _error("empty", f"{name} holds nothing")
        return
    if not _CLOSING.search(tail):
        yield _error("truncated", f"{name} does not end with the dumper's closing line: it is cut")
    for table in missing_create.values():
        yield _error("missing_table", f"{name} does not create the table {table}")
    for table in missing_rows.values():
        if table not in missing_create.values():
            message = f"{name} holds no rows of the table {table}, which had {wanted[table].rows:,}"
            yield _error("missing_rows", message)


def _needle(words: bytes, table: str) -> bytes:
    return words + quote(table, Dialect.MYSQL).encode() + b" "


def _error(code: str, message: str) -> Finding:
    return Finding(
        Level.L2, Severity.ERROR, code, message, "make another backup: des-admin backup create"
    )
