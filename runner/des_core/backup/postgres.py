"""PostgreSQL: pg_dump in a snapshot that we hold and count in, pg_restore to read it back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from des_core.backup.dump import DumpOrder, DumpResult, Layout, Restored, Squeeze, Stored
from des_core.backup.findings import Finding, Level, Severity
from des_core.backup.identity import Target
from des_core.backup.manifest import ToolRun
from des_core.backup.numbers import read_numbers
from des_core.backup.postgres_globals import ROLES_FILE, TABLESPACES_FILE, dump_globals, is_whole
from des_core.backup.private import write_pgpass
from des_core.backup.programs import (
    Program,
    find_postgres_program,
    read_version,
    require_success,
    run_to_end,
    start,
    watched,
    written_bytes,
)
from des_core.backup.progress import Progress
from des_core.backup.statements import BackupCatalog
from des_core.basics.errors import CheckFailed, UsageError
from des_core.basics.identifiers import Dialect, parse_table
from des_core.basics.regular_files import open_regular
from des_core.database.transaction import Transaction

DATA_FILE = "data.dump"
DATA_DIRECTORY = "data"
MAGIC = b"PGDMP"
LOCK_WAIT_MS = 60_000
ZSTD_SINCE = (16,)
AGAIN = "make another backup: des-admin backup create"
WITHOUT_OWNERS = ("--no-owner", "--no-privileges", "--no-tablespaces")
NOT_TRIED = ("publications and subscriptions", "settings of the database and roles")
ROLES_HINT = "as a superuser, on a server with its roles: backup.scratch_url"
_SECRET_KEYS = ("password", "sslpassword", "passfile")


class PostgresDumper:
    """Custom and directory format."""

    def dump(self, order: DumpOrder) -> DumpResult:
        """pg_dump in our snapshot.

        1. Begin REPEATABLE READ, export its snapshot. 2. Start pg_dump in that snapshot. 3. Count
        meanwhile in the same snapshot. 4. Hold it until pg_dump has ended: a dump with several
        jobs opens its connections one after the other.
        """
        program = find_postgres_program("pg_dump", order.server.version)
        catalog = BackupCatalog(Dialect.POSTGRES)
        with _open_snapshot(order) as tx:
            snapshot = str(tx.run(catalog.backup("snapshot")).scalar_one())
            command = _dump_command(order, program, snapshot, tx)
            with (
                start(command, order.scratch) as running,
                watched(lambda: order.listener(_written(order))),
            ):
                numbers = read_numbers(tx, order.counted, order.target.database)
                running.process.wait()
        hint = "fix the cause that it names, then run the same command again"
        require_success(running, "pg_dump", hint)
        arguments = tuple(_without_connection(command[1:]))
        tool = ToolRun(program.name, program.version_line, arguments, 0, running.stderr)
        return DumpResult(numbers, tool, _dump_rest(order))

    def examine(self, stored: Stored, scratch: Path) -> Iterator[Finding]:
        """Magic, table of contents, and a full read that decompresses every table."""
        data = _data_path(stored)
        table_of_contents = data / "toc.dat" if data.is_dir() else data
        if _first_bytes(table_of_contents) != MAGIC:
            yield _error("not_a_dump", f"{table_of_contents.name} is no dump of PostgreSQL")
            return
        for name in (ROLES_FILE, TABLESPACES_FILE):
            path = stored.path / name
            if path.exists() and not is_whole(path):
                yield _error("truncated", f"{name} does not end as it was written: it is cut")
        program = find_postgres_program("pg_restore", _dumped_by(stored))
        list_path = scratch / "toc.list"
        arguments = ["--list", f"--file={list_path}", str(data)]
        code, stderr = run_to_end([program.path, *arguments], scratch)
        if code != 0:
            yield _error("unreadable", f"pg_restore cannot list it: {stderr or code}")
            return
        yield from _missing_tables(stored, list_path.read_text(errors="replace").splitlines())
        code, stderr = run_to_end([program.path, "--file=/dev/null", str(data)], scratch)
        if code != 0:
            yield _error("unreadable", f"pg_restore cannot read it to its end: {stderr or code}")

    @contextmanager
    def restore(
        self, stored: Stored, target: Target | None, scratch: Path, jobs: int
    ) -> Iterator[Restored]:
        """Into a new database of the same server, dropped at the end whatever happens.

        First as a real restore: with owners, rights and tablespaces. Where the server lacks the
        roles, or the user the right, without them, and the report names it.
        """
        if target is None:
            raise UsageError("a restore needs a server", hint="leave out --offline")
        with ExitStack() as stack:
            try:
                restored = stack.enter_context(_restored(stored, target, scratch, jobs, ()))
            except _NotWithOwners as exc:
                again = _restored(stored, target, scratch, jobs, WITHOUT_OWNERS)
                restored = stack.enter_context(again)
                restored.notes.append("owners, rights, tablespaces")
                message = f"it comes back without owners and rights only: {exc.message}"
                restored.findings.append(
                    Finding(Level.L3, Severity.WARNING, "without_owners", message, ROLES_HINT)
                )
            yield restored


class _NotWithOwners(CheckFailed):
    """The dump could not be restored as it is; without owners and rights it may be."""


@contextmanager
def _restored(
    stored: Stored, target: Target, scratch: Path, jobs: int, options: tuple[str, ...]
) -> Iterator[Restored]:
    program = find_postgres_program("pg_restore", _dumped_by(stored))
    name = f"des_check_{secrets.token_hex(6)}"
    catalog = BackupCatalog(Dialect.POSTGRES, scratch=name)
    with target.database.autocommit() as tx:
        tx.run(catalog.backup("scratch_create"))
    try:
        database = target.scratch(name, stored.manifest.source.default_schema)
        try:
            _create_schemas(stored, database)
            _restore(program, stored, target, name, scratch, jobs, options)
            yield Restored(database, list(NOT_TRIED))
        finally:
            database.database.close()
    finally:
        with target.database.autocommit() as tx:
            tx.run(catalog.backup("scratch_drop"))


def _dump_rest(order: DumpOrder) -> tuple[str, ...]:
    """The cluster's globals beside the dump; returns what is in neither."""
    if order.chosen is not None:
        return ("everything but the chosen tables: roles, functions, types, large objects",)
    conninfo = _conninfo(order.target, order.scratch)
    return dump_globals(order.directory, conninfo, order.server.version, order.scratch)


@contextmanager
def _open_snapshot(order: DumpOrder) -> Iterator[Transaction]:
    database = order.target.database
    with database.translated(), database.engine.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        try:
            yield database.transaction(connection)
        finally:
            connection.rollback()


def _dump_command(order: DumpOrder, program: Program, snapshot: str, tx: Transaction) -> list[str]:
    is_directory = order.layout is Layout.DIRECTORY
    output = order.directory / (DATA_DIRECTORY if is_directory else DATA_FILE)
    raw: Any = tx.connection.connection.driver_connection
    conninfo = _conninfo(order.target, order.scratch, host=raw.info.host, port=raw.info.port)
    command = [
        program.path,
        f"--dbname={conninfo}",
        "--no-password",
        f"--format={order.layout.value}",
        f"--file={output}",
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={LOCK_WAIT_MS}",
        *_compress_arguments(order.squeeze, program),
    ]
    if is_directory:
        command.append(f"--jobs={order.jobs}")
    tables = [f"--table={table.quoted(Dialect.POSTGRES)}" for table in order.chosen or ()]
    return [*command, *tables]


def _compress_arguments(squeeze: Squeeze, program: Program) -> list[str]:
    if squeeze is Squeeze.ZSTD:
        if program.version < ZSTD_SINCE:
            raise UsageError(
                "pg_dump compresses with zstd since version 16 only",
                hint="leave out --compress",
                found=program.version_line,
            )
        return ["--compress=zstd"]
    return {Squeeze.GZIP: ["--compress=6"], Squeeze.NONE: ["--compress=0"]}.get(squeeze, [])


def _conninfo(target: Target, scratch: Path, **overrides: object) -> str:
    """The connection as libpq reads it; the password is in a file that it names."""
    from psycopg.conninfo import make_conninfo

    url = target.url
    known = {"user": url.username, "host": url.host, "port": url.port, "dbname": url.database}
    query = {key: value for key, value in url.query.items() if key not in _SECRET_KEYS}
    parameters: dict[str, Any] = {**known, **query, **overrides}
    parameters["application_name"] = "des-admin backup"
    password = url.password or url.query.get("password")
    if password is not None:
        passfile = scratch / "pgpass"
        path = passfile if passfile.exists() else write_pgpass(scratch, str(password))
        parameters["passfile"] = str(path)
    filled = {key: value for key, value in parameters.items() if value not in (None, "")}
    return make_conninfo(**filled)


def _without_connection(arguments: list[str]) -> Iterator[str]:
    """What the manifest keeps: neither addresses nor paths of this run."""
    hidden = ("--dbname=", "--file=", "--snapshot=")
    return (argument for argument in arguments if not argument.startswith(hidden))


def _written(order: DumpOrder) -> Progress:
    return Progress("dump", written_bytes(order.directory), None)


def _create_schemas(stored: Stored, restored: Target) -> None:
    """For a dump of chosen tables, which brings no schema with it."""
    manifest = stored.manifest
    if manifest.chosen_tables is None:
        return
    tables = [parse_table(name, None) for name in manifest.chosen_tables]
    schemas = {table.schema or manifest.source.default_schema or "public" for table in tables}
    with restored.database.write() as tx:
        for schema in sorted(schemas):
            catalog = BackupCatalog(Dialect.POSTGRES, schema=schema)
            tx.run(catalog.backup("schema_create"))


def _restore(
    program: Program,
    stored: Stored,
    target: Target,
    name: str,
    scratch: Path,
    jobs: int,
    options: tuple[str, ...],
) -> None:
    # Publications and subscriptions would reach out of the scratch database. A newer pg_restore
    # sets parameters that an older server does not know, which is no fault of the backup.
    is_newer = program.version[:1] > read_version(stored.manifest.server.version)[:1]
    command = [
        program.path,
        f"--dbname={_conninfo(target, scratch, dbname=name)}",
        *("--no-password", "--no-publications", "--no-subscriptions", f"--jobs={jobs}"),
        *options,
        *([] if is_newer else ["--exit-on-error"]),
        str(_data_path(stored)),
    ]
    with start(command, scratch) as running:
        running.process.wait()
    if is_newer and _only_unknown_parameters(running.stderr):
        return
    if running.process.returncode != 0 and not options:
        raise _NotWithOwners(next(iter(running.stderr.splitlines()), "pg_restore failed"))
    if running.process.returncode != 0:
        raise CheckFailed("the backup cannot be restored", hint=AGAIN, stderr=running.stderr)


def _only_unknown_parameters(stderr: str) -> bool:
    """Whether it came to its end, and all that failed were settings of a later version."""
    errors = [line for line in stderr.splitlines() if "pg_restore: error:" in line]
    return "errors ignored on restore" in stderr and all(
        "unrecognized configuration parameter" in line for line in errors
    )


def _data_path(stored: Stored) -> Path:
    is_directory = stored.manifest.layout == Layout.DIRECTORY
    return stored.path / (DATA_DIRECTORY if is_directory else DATA_FILE)


def _dumped_by(stored: Stored) -> tuple[int, ...]:
    return read_version(stored.manifest.tool.version)


def _first_bytes(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(len(MAGIC))
    except OSError:
        return b""


def _missing_tables(stored: Stored, lines: list[str]) -> Iterator[Finding]:
    """Required tables that the table of contents does not name.

    A partitioned table has no data of its own: its partitions are attached to it.
    """
    is_partitioned = any(" TABLE ATTACH " in line for line in lines)
    for name, numbers in stored.manifest.table_names.items():
        words = f" {name} "
        entries = [line for line in lines if words in line and " TABLE " in line]
        has_data = any(" TABLE DATA " in line for line in entries)
        if not entries or (numbers.rows and not has_data and not is_partitioned):
            yield _error("missing_table", f"the dump holds no data of the table {numbers.table}")


def _error(code: str, message: str) -> Finding:
    return Finding(
        Level.L2, Severity.ERROR, code, message, "make another backup: des-admin backup create"
    )
