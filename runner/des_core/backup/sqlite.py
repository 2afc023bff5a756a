"""SQLite: VACUUM INTO a new file, counted there; compared with the live one if that rested."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import URL

from des_core.backup.dump import DumpOrder, DumpResult, Restored, Stored
from des_core.backup.findings import Finding, Level, Severity
from des_core.backup.identity import Target, open_target
from des_core.backup.manifest import ToolRun
from des_core.backup.numbers import Numbers, read_numbers
from des_core.backup.programs import watched, written_bytes
from des_core.backup.progress import Progress
from des_core.backup.statements import BackupCatalog
from des_core.basics.errors import CheckFailed, DesError, StorageError, UsageError
from des_core.basics.identifiers import Dialect
from des_core.basics.regular_files import open_regular
from des_core.database.connections import Database, wrap_connection
from des_core.database.transaction import Transaction

DATA_FILE = "data.sqlite"
HEADER_BYTES = 100
MAGIC = b"SQLite format 3\x00"
AGAIN = "make another backup: des-admin backup create"
_CATALOG = BackupCatalog(Dialect.SQLITE)


class SqliteDumper:
    """A copy that is a database itself."""

    def dump(self, order: DumpOrder) -> DumpResult:
        """VACUUM INTO, then count in the copy.

        It cannot run inside a transaction, so there is no snapshot to share: the numbers are the
        copy's own. Where nobody committed from before the copy until after counting the live
        database, both must be equal.
        """
        if order.chosen is not None:
            raise UsageError("SQLite databases are copied whole", hint="leave out --tables")
        _require_space(order)
        path = order.directory / DATA_FILE
        database = order.target.database
        total = order.server.size_bytes
        with (
            database.autocommit() as watching,
            watched(lambda: order.listener(_written(order, total))),
        ):
            before = _data_version(watching)
            with database.autocommit() as tx:
                tx.run(_CATALOG.backup("vacuum_into"), {"path": str(path)})
            path.chmod(0o600)
            numbers = _count_copy(path, order)
            rested = _compare_if_unchanged(order, numbers, before, watching)
        said = "" if rested else "others wrote meanwhile: not compared with the live database"
        version = order.server.identity.version
        return DumpResult(numbers, ToolRun("sqlite", version, ("VACUUM INTO",), 0, said))

    def examine(self, stored: Stored, scratch: Path) -> Iterator[Finding]:
        """Header, length, tables, integrity and foreign keys."""
        path = stored.path / DATA_FILE
        problem = header_problem(path)
        if problem is not None:
            yield _error(*problem)
            return
        try:
            with open_read_only(path) as database:
                yield from _examine_content(database, stored)
        except (DesError, sqlite3.Error) as exc:
            yield _error("unreadable", f"SQLite cannot read it: {exc}")

    @contextmanager
    def restore(
        self, stored: Stored, target: Target | None, scratch: Path, jobs: int
    ) -> Iterator[Restored]:
        """Into a file beside nothing else, removed at the end."""
        copy = scratch / "restored.sqlite"
        try:
            shutil.copyfile(stored.path / DATA_FILE, copy)
            restored = open_target(_url(copy))
            try:
                yield Restored(restored)
            finally:
                restored.database.close()
        finally:
            copy.unlink(missing_ok=True)


def header_problem(path: Path) -> tuple[str, str] | None:
    """Code and message of what the first hundred bytes and the length give away."""
    try:
        size_bytes = path.stat().st_size
        with open_regular(path) as file:
            header = file.read(HEADER_BYTES)
    except OSError as exc:
        return "unreadable", f"{path.name} cannot be read: {exc.strerror}"
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        return "not_a_database", f"{path.name} is no SQLite database"
    if 2 in header[18:20]:
        return (
            "live_copy",
            f"{path.name} is a plain copy of a live database in WAL mode: what was in its -wal "
            "file is missing",
        )
    page_size = int.from_bytes(header[16:18], "big")
    page_size = 65_536 if page_size == 1 else page_size
    pages = int.from_bytes(header[28:32], "big")
    if pages * page_size != size_bytes:
        message = f"{path.name} has {size_bytes:,} bytes, its header says {pages * page_size:,}"
        return "truncated", message
    return None


@contextmanager
def open_read_only(path: Path) -> Iterator[Database]:
    """The file as it is: nothing is created beside it and no lock is taken."""
    uri = f"file:{quote(str(path))}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as raw:
        yield wrap_connection(raw)


def _examine_content(database: Database, stored: Stored) -> Iterator[Finding]:
    with database.read() as tx:
        tables = {str(row.name) for row in tx.run(_CATALOG.backup("table_names"))}
        if not tables:
            yield _error("no_tables", "the file holds no table at all")
        for name in stored.manifest.table_names.keys() - tables:
            yield _error("missing_table", f"the table {name} is missing")
        answers = [str(row[0]) for row in tx.run(_CATALOG.backup("integrity_check"))]
        if answers != ["ok"]:
            yield _error("integrity", f"integrity_check: {'; '.join(answers[:5])}")
        orphans = tx.run(_CATALOG.backup("foreign_key_check")).fetchmany(1)
        if orphans:
            # The application may never have enforced them: then the live database is the same.
            message = f"rows of the table {orphans[0][0]} refer to rows that are missing"
            again = "compare with the live database: PRAGMA foreign_key_check"
            yield Finding(Level.L2, Severity.WARNING, "foreign_keys", message, again)


def _count_copy(path: Path, order: DumpOrder) -> Numbers:
    with open_read_only(path) as database, database.read() as tx:
        return read_numbers(tx, order.counted, database)


def _compare_if_unchanged(
    order: DumpOrder, copied: Numbers, before: int, watching: Transaction
) -> bool:
    """Whether the live database could be compared; CheckFailed where it differs."""
    database = order.target.database
    with database.read() as tx:
        live = read_numbers(tx, order.counted, database)
    if _data_version(watching) != before:
        return False
    if live != copied:
        raise CheckFailed(
            "the copy does not hold what the database holds",
            hint="check the database itself: PRAGMA integrity_check",
            database=database.label,
        )
    return True


def _data_version(tx: Transaction) -> int:
    return int(tx.run(_CATALOG.backup("data_version")).scalar_one())


def _require_space(order: DumpOrder) -> None:
    free = shutil.disk_usage(order.directory).free
    wanted = order.server.size_bytes or 0
    if free < wanted:
        raise StorageError(
            "there is not enough space for a copy of the database",
            hint="free some, or choose another directory: --dir",
            free_bytes=free,
            wanted_bytes=wanted,
        )


def _written(order: DumpOrder, total: int | None) -> Progress:
    return Progress("dump", written_bytes(order.directory), total)


def _url(path: Path) -> str:
    return URL.create("sqlite", database=str(path)).render_as_string()


def _error(code: str, message: str) -> Finding:
    return Finding(Level.L2, Severity.ERROR, code, message, AGAIN)
