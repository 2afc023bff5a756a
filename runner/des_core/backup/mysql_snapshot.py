"""Dump and counting in one snapshot, on servers that cannot hand a snapshot to somebody else.

1. Lock the counted tables for reading, within the lock timeout. 2. Begin our own transaction with a
consistent snapshot. 3. Start the dumper, which begins its own. 4. The dumper's first table
definition shows that it has begun: unlock. 5. Count while it dumps. Between 1 and 4 no commit can
touch the counted tables, so both transactions see the same rows. Writers wait for the start of a
program, not for the dump; where even that takes too long, the lock is let go and all begins anew.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from sqlalchemy.exc import OperationalError
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from des_core.backup.compression import CHUNK_BYTES, compression_of, make_compressor
from des_core.backup.dump import DumpOrder
from des_core.backup.numbers import Numbers, read_numbers
from des_core.backup.programs import require_success, start, watched
from des_core.backup.progress import Progress
from des_core.backup.statements import BackupCatalog
from des_core.basics.errors import CheckFailed, Refused
from des_core.basics.identifiers import Dialect
from des_core.database.transaction import Transaction

ATTEMPTS = 12
DUMPER_START_S = 60.0
# The dumper writes this after it has begun its transaction, and nothing like it before.
_BEGUN = b"-- Table structure for table"
_LOCK_WAIT_TIMEOUT = 1205
_DENIED = (1044, 1045, 1142, 1227)
_DUMP_HINT = "fix the cause that it names, then run the same command again"


class _TooSlow(Exception):
    """The lock could not be had, or the dumper did not begin, within the lock timeout."""


class Pump(threading.Thread):
    """Carries the dumper's output into a file, compressed, and says when the dump has begun."""

    def __init__(self, source: IO[bytes], path: Path, threads: int) -> None:
        super().__init__(name="des-backup-pump", daemon=True)
        self.begun = threading.Event()
        self.written_bytes = 0
        self._source = source
        self._path = path
        self._threads = threads
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._carry()
        except Exception as exc:
            self._error = exc
            # Nobody reads any more: the dumper must not wait for us for ever.
            self._source.close()
        finally:
            self.begun.set()

    def finish(self) -> None:
        """Wait for the end of the output; raises what went wrong on the way."""
        self.join()
        if self._error is not None:
            raise CheckFailed(
                f"the dump could not be written: {self._error}",
                hint="free some space or choose another --dir, then run the same command again",
                path=str(self._path),
            ) from self._error

    def _carry(self) -> None:
        kind = compression_of(self._path.name)
        compressor = None if kind is None else make_compressor(kind, self._threads)
        head = b""
        with self._path.open("xb") as target:
            self._path.chmod(0o600)
            while chunk := self._read():
                if not self.begun.is_set():
                    head = (head + chunk)[-2 * CHUNK_BYTES :]
                    if _BEGUN in head:
                        self.begun.set()
                self.written_bytes += target.write(
                    chunk if compressor is None else compressor.compress(chunk)
                )
            if compressor is not None:
                target.write(compressor.flush())

    def _read(self) -> bytes:
        read1 = getattr(self._source, "read1", self._source.read)
        data: bytes = read1(CHUNK_BYTES)
        return data


def dump_in_snapshot(order: DumpOrder, command: list[str], path: Path) -> tuple[Numbers, str]:
    """Write the dump to `path`; returns the numbers of its snapshot and the dumper's stderr.

    Refused where the tables could not be locked in time in any of the attempts.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(_TooSlow),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.5, max=10),
    )
    try:
        return retrying(_attempt, order, command, path)
    except RetryError as exc:
        raise Refused(
            f"the tables could not be locked for a moment in any of {ATTEMPTS} attempts",
            hint="transactions that write to them are open for long: end them, or wait for a "
            "quieter hour; see them: des-admin doctor",
            lock_timeout_s=order.lock_timeout_s,
            tables=", ".join(map(str, order.counted.tables)),
        ) from exc


def _attempt(order: DumpOrder, command: list[str], path: Path) -> tuple[Numbers, str]:
    path.unlink(missing_ok=True)
    with order.target.database.translated(), ExitStack() as stack:
        counting = stack.enter_context(_counting_connection(order))
        with _writers_held_off(order) as deadline:
            counting.run(BackupCatalog(Dialect.MYSQL).backup("snapshot"))
            running = stack.enter_context(start(command, order.scratch, stdout=subprocess.PIPE))
            pump = Pump(output_pipe(running.process), path, order.jobs)
            pump.start()
            if not pump.begun.wait(max(deadline - time.monotonic(), 0.2)):
                running.process.kill()
                pump.join()
                raise _TooSlow
        tick = lambda: order.listener(Progress("dump", pump.written_bytes, None))  # noqa: E731
        with watched(tick):
            numbers = read_numbers(counting, order.counted, order.target.database)
            pump.finish()
            running.process.wait()
    require_success(running, "the dump", _DUMP_HINT)
    return numbers, running.stderr


@contextmanager
def _counting_connection(order: DumpOrder) -> Iterator[Transaction]:
    """A connection of its own: its isolation level must not go back to the pool."""
    database = order.target.database
    with database.engine.connect() as connection:
        connection.detach()
        tx = database.transaction(connection)
        catalog = BackupCatalog(Dialect.MYSQL)
        tx.run(catalog.backup("isolation"))
        yield tx


@contextmanager
def _writers_held_off(order: DumpOrder) -> Iterator[float]:
    """The counted tables locked for reading; yields the time by which to let go."""
    timeout_s = max(1, round(order.lock_timeout_s))
    deadline = time.monotonic() + timeout_s
    if not order.counted.tables:
        yield deadline + DUMPER_START_S
        return
    catalog = BackupCatalog(Dialect.MYSQL, locked=order.counted.tables)
    database = order.target.database
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()
        tx = database.transaction(connection)
        tx.run(catalog.backup("lock_wait"), {"seconds": timeout_s})
        try:
            tx.run(catalog.backup("lock_tables"))
        except OperationalError as exc:
            raise _lock_error(exc) from exc
        try:
            yield deadline
        finally:
            tx.run(catalog.backup("unlock_tables"))


def _lock_error(exc: OperationalError) -> Exception:
    number = exc.orig.args[0] if exc.orig is not None and exc.orig.args else None
    if number == _LOCK_WAIT_TIMEOUT:
        return _TooSlow()
    if number in _DENIED:
        return Refused(
            "the database user may not lock the tables for the moment in which a backup begins",
            hint="grant it LOCK TABLES and SELECT on this database",
        )
    return exc


def output_pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    """The tool's standard output, which must have been asked for as a pipe."""
    if process.stdout is None:
        raise CheckFailed("the dumper has no output to read")
    return process.stdout
