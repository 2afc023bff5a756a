"""MySQL and MariaDB: the dumper and our counting begin in the same moment; see docs/adr.

The dump's stream goes through us, so that a dumper that dies is seen, whatever compresses it.
"""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from des_core.backup.compression import SUFFIXES, Compression, compression_of, read_decompressed
from des_core.backup.dump import DumpOrder, DumpResult, Restored, Squeeze, Stored
from des_core.backup.findings import Finding, Level, Severity
from des_core.backup.identity import Target
from des_core.backup.manifest import ServerIdentity, ToolRun
from des_core.backup.mysql_snapshot import Pump, dump_in_snapshot, output_pipe
from des_core.backup.mysql_stream import examine_stream
from des_core.backup.mysql_users import dump_users
from des_core.backup.private import write_option_file
from des_core.backup.programs import Program, find_program, require_success, start
from des_core.backup.progress import Progress
from des_core.backup.statements import BackupCatalog
from des_core.basics.errors import CheckFailed, DamagedData, UsageError
from des_core.basics.identifiers import Dialect

DATA_FILE = "data.sql"
ROUTINES_FILE = "routines.sql"
HISTORY_SINCE = (10, 11)
AGAIN = "make another backup: des-admin backup create"
NOT_TRIED = ("routines and events (an event of a copy would run)", "users and grants")
_FAILED = re.compile(
    r"(?:^-{14}\n(?P<statement>(?:(?!-{14}\n).*\n)*?)-{14}\n\s*)?^ERROR \d+ [^\n]*", re.MULTILINE
)
_VIEW = re.compile(r"\bVIEW (?P<name>`(?:[^`]|``)+`)")
_INSTALL = "install mariadb-client (or MySQL's own client), then run the same command again"
_TLS_OPTIONS = {"ssl_ca": "ssl-ca", "ssl_cert": "ssl-cert", "ssl_key": "ssl-key"}
_SUFFIXES = {
    Squeeze.AUTO: SUFFIXES[Compression.ZSTD],
    Squeeze.ZSTD: SUFFIXES[Compression.ZSTD],
    Squeeze.GZIP: SUFFIXES[Compression.GZIP],
    Squeeze.NONE: "",
}
_COMMON = (
    "--single-transaction",
    "--quick",
    "--skip-lock-tables",
    "--hex-blob",
    "--no-tablespaces",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
)
_ONLY_ROUTINES = (
    *("--no-data", "--no-create-info", "--no-create-db", "--skip-triggers"),
    *("--routines", "--events"),
)


class MySqlDumper:
    """One file of statements for the tables, a second one for routines and events.

    The second one is never restored by a check: an event of a restored copy would run.
    """

    def dump(self, order: DumpOrder) -> DumpResult:
        """Tables and numbers in one snapshot, then routines and events, which have no snapshot."""
        program = _find_tool(order.server.identity, "mariadb-dump", "mysqldump")
        base = [program.path, f"--defaults-file={_option_file(order.target, order.scratch)}"]
        history, left_out = _history(order, program)
        common = [*_COMMON, *_flavour(program), *history]
        tables = [table.name for table in order.chosen or ()]
        suffix = _SUFFIXES[order.squeeze]
        command = [*base, *common, "--", order.target.name, *tables]
        numbers, stderr = dump_in_snapshot(order, command, order.directory / (DATA_FILE + suffix))
        if order.chosen is None:
            command = [*base, *common, *_ONLY_ROUTINES, "--", order.target.name]
            stderr += _dump_rest(order, command, order.directory / (ROUTINES_FILE + suffix))
            left_out += dump_users(order.target, order.server, order.directory, suffix)
        else:
            left_out += ("everything but the chosen tables: users, routines, events",)
        tool = ToolRun(program.name, program.version_line, (*common, *tables), 0, stderr)
        return DumpResult(numbers, tool, left_out)

    def examine(self, stored: Stored, scratch: Path) -> Iterator[Finding]:
        """The closing line where only the dumper can have put it, and every required table."""
        for name in _data_files(stored):
            is_main = name.startswith(DATA_FILE)
            wanted = stored.manifest.table_names if is_main else {}
            try:
                stream = read_decompressed(stored.path / name, compression_of(name))
                yield from examine_stream(stream, name, wanted)
            except (DamagedData, OSError) as exc:
                yield Finding(
                    *(Level.L2, Severity.ERROR, "unreadable", f"{name}: {exc}"),
                    "make another backup: des-admin backup create",
                )

    @contextmanager
    def restore(
        self, stored: Stored, target: Target | None, scratch: Path, jobs: int
    ) -> Iterator[Restored]:
        """Into a new database of the same server, dropped at the end whatever happens."""
        if target is None:
            raise UsageError("a restore needs a server", hint="leave out --offline")
        program = _find_tool(stored.manifest.server, "mariadb", "mysql")
        name = f"des_check_{secrets.token_hex(6)}"
        catalog = BackupCatalog(Dialect.MYSQL, scratch=name, locale=stored.manifest.locale)
        with target.database.autocommit() as tx:
            tx.run(catalog.backup("scratch_create"))
        try:
            option_file = _option_file(target, scratch)
            command = [program.path, f"--defaults-file={option_file}", "--batch", "--force"]
            main = next(n for n in _data_files(stored) if n.startswith(DATA_FILE))
            stderr = _feed([*command, "--", name], stored.path / main, scratch)
            restored = target.scratch(name)
            try:
                yield Restored(restored, list(NOT_TRIED), list(_tolerable(stderr)))
            finally:
                restored.database.close()
        finally:
            with target.database.autocommit() as tx:
                tx.run(catalog.backup("scratch_drop"))


def _find_tool(server: ServerIdentity, of_mariadb: str, of_mysql: str) -> Program:
    """The tool of the server's own make; the other one's may miss what it does not know."""
    names = [of_mariadb, of_mysql]
    if server.product != "MariaDB":
        names.reverse()
    return find_program(*names, hint=_INSTALL)


def _flavour(program: Program) -> list[str]:
    """What MySQL's own mysqldump needs and MariaDB's does not know."""
    if program.is_mariadb:
        return []
    return [
        "--set-gtid-purged=OFF",
        *(["--column-statistics=0"] if program.version >= (8,) else []),
    ]


def _history(order: DumpOrder, program: Program) -> tuple[list[str], tuple[str, ...]]:
    """The option that dumps what system-versioned tables keep; else what is left out."""
    if order.server.identity.product != "MariaDB":
        return [], ()
    statement = BackupCatalog(Dialect.MYSQL).backup("versioned_tables")
    with order.target.database.read() as tx:
        tables = [str(row.table_name) for row in tx.run(statement)]
    if not tables:
        return [], ()
    if program.is_mariadb and program.version >= HISTORY_SINCE:
        return ["--dump-history"], ()
    return [], (f"the history of system-versioned tables: {', '.join(tables)}",)


def _option_file(target: Target, scratch: Path) -> Path:
    path = scratch / "client.cnf"
    if path.exists():
        return path
    url = target.url
    query = {key: str(value) for key, value in url.query.items()}
    options = {"user": url.username or "", "password": str(url.password or "")}
    if "unix_socket" in query:
        options |= {"protocol": "socket", "socket": query["unix_socket"]}
    else:
        # For the client, localhost would mean the socket; for the driver it means TCP.
        port = str(url.port or 3306)
        options |= {"protocol": "tcp", "host": url.host or "localhost", "port": port}
    options |= {_TLS_OPTIONS[key]: value for key, value in query.items() if key in _TLS_OPTIONS}
    return write_option_file(scratch, {key: value for key, value in options.items() if value})


def _dump_rest(order: DumpOrder, command: list[str], path: Path) -> str:
    with start(command, order.scratch, stdout=subprocess.PIPE) as running:
        pump = Pump(output_pipe(running.process), path, order.jobs)
        pump.start()
        pump.finish()
    require_success(
        running,
        "dumping routines and events",
        "grant the user EVENT, and SHOW CREATE ROUTINE or SELECT on mysql.proc; or choose "
        "tables: des-admin backup create --tables",
    )
    order.listener(Progress("routines", path.stat().st_size, None))
    return running.stderr


def _data_files(stored: Stored) -> list[str]:
    return [entry.path for entry in stored.manifest.files]


def _feed(command: list[str], path: Path, scratch: Path) -> str:
    """Give a dump to the client on its standard input; returns what it complained of."""
    with start(command, scratch, stdin=subprocess.PIPE) as running:
        pipe = running.process.stdin
        if pipe is None:
            raise CheckFailed("the client has no input to write to")
        try:
            for data in read_decompressed(path, compression_of(path.name)):
                pipe.write(data)
            pipe.close()
        except BrokenPipeError:
            running.process.wait()
    said = running.stderr_path.read_text(encoding="utf-8", errors="replace")
    if not _FAILED.search(said):
        require_success(running, "restoring the backup", AGAIN)
    return said


def _tolerable(stderr: str) -> Iterator[Finding]:
    """Views that cannot be made here; CheckFailed for any other error of the restore.

    A view whose definer is gone is kept by the server under the name of its database, so it comes
    back there and not in a scratch database beside it.
    """
    views = []
    for match in _FAILED.finditer(stderr):
        view = _VIEW.search(match["statement"] or "")
        if view is None:
            raise CheckFailed("restoring the backup failed", hint=AGAIN, stderr=match[0][-4000:])
        views.append(view["name"])
    if views:
        message = f"views that only the database's own name brings back: {', '.join(views)}"
        again = "see whether their definers are still there; or try it on another server: "
        yield Finding(
            *(Level.L3, Severity.WARNING, "views_not_tried", message),
            f"{again}backup.scratch_url",
        )
