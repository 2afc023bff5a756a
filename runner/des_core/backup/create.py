"""Making a backup: dump and numbers in one snapshot, every file hashed back, the manifest last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from des_core import __version__
from des_core.backup.dump import (
    DEFAULT_LAYOUTS,
    LAYOUTS,
    DumpOrder,
    DumpResult,
    Layout,
    Squeeze,
    Stored,
)
from des_core.backup.dumpers import dumper_for
from des_core.backup.hashing import hash_files
from des_core.backup.identity import LiveServer, Target, read_locale, read_server
from des_core.backup.manifest import FileEntry, Manifest, write_manifest
from des_core.backup.numbers import CountedTables, find_counted_tables, names_of
from des_core.backup.partitions import with_partitions
from des_core.backup.private import private_directory
from des_core.backup.progress import Listener, ignore
from des_core.backup.store import load_entry, new_backup
from des_core.basics.errors import DamagedData, UsageError
from des_core.basics.identifiers import TableName, parse_table
from des_core.database.server_settings import require_direct
from des_core.settings.config import DatabaseSettings

ROLE_SOURCE = "source"


@dataclass(frozen=True)
class CreateOptions:
    """What the operator asked for. `tables` are names; None is the whole database."""

    directory: Path
    layout: Layout | None = None
    squeeze: Squeeze = Squeeze.AUTO
    tables: tuple[str, ...] | None = None
    jobs: int = 1
    lock_timeout_s: float = 1.0


def create_backup(
    target: Target,
    settings: DatabaseSettings,
    roles: tuple[str, ...],
    options: CreateOptions,
    *,
    clock: Callable[[], datetime],
    listener: Listener = ignore,
) -> Stored:
    """A finished backup of one database; nothing is left where it fails.

    `roles` says what the database is here: `source`, `config` or both. CheckFailed where the tool
    fails, UsageError where the options do not fit the database.
    """
    layout = _choose_layout(target, options)
    require_direct(target.database, "a backup")
    server = read_server(target)
    chosen = _choose_tables(options, settings.table)
    counted = find_counted_tables(target.database, settings, with_files=ROLE_SOURCE in roles)
    if chosen is not None:
        counted = counted.only(frozenset(map(str, chosen)))
        chosen = with_partitions(target, chosen)
    started_at = clock()
    with (
        private_directory() as scratch,
        new_backup(options.directory, target.name, started_at) as path,
    ):
        order = DumpOrder(
            *(target, server, counted, chosen, path, scratch, layout, options.squeeze),
            *(options.jobs, options.lock_timeout_s, listener),
        )
        result = dumper_for(target.dialect).dump(order)
        files = hash_files(path, _written_files(path), options.jobs, listener)
        manifest = _manifest(order, result, roles, files, started_at, clock())
        write_manifest(path, manifest)
    return _reload(path)


def _choose_layout(target: Target, options: CreateOptions) -> Layout:
    layout = options.layout or DEFAULT_LAYOUTS[target.dialect]
    possible = LAYOUTS[target.dialect]
    if layout not in possible:
        names = " or ".join(possible)
        raise UsageError(f"backups of {target.dialect} are made as {names}, not as {layout}")
    if target.dialect == "sqlite" and options.squeeze not in (Squeeze.AUTO, Squeeze.NONE):
        raise UsageError("copies of SQLite databases are not compressed")
    return layout


def _choose_tables(options: CreateOptions, files: TableName) -> tuple[TableName, ...] | None:
    if options.tables is None:
        return None
    if not options.tables:
        raise UsageError("--tables needs at least one table")
    tables = (parse_table(name, None) for name in options.tables)
    return tuple(files if table == TableName(files.name) else table for table in tables)


def _written_files(path: Path) -> list[Path]:
    files = sorted(entry for entry in path.rglob("*") if entry.is_file())
    if not files:
        raise DamagedData("the dump left no file", path=str(path))
    return files


def _manifest(
    order: DumpOrder,
    result: DumpResult,
    roles: tuple[str, ...],
    files: tuple[FileEntry, ...],
    started_at: datetime,
    finished_at: datetime,
) -> Manifest:
    server: LiveServer = order.server
    counted: CountedTables = order.counted
    return Manifest(
        name=order.directory.name.removesuffix(".unfinished"),
        des_admin=__version__,
        layout=order.layout,
        server=server.identity,
        roles=roles,
        source=names_of(counted),
        revision=result.numbers.revision,
        chosen_tables=None if order.chosen is None else tuple(map(str, order.chosen)),
        tool=result.tool,
        started_at=started_at,
        finished_at=finished_at,
        tables=result.numbers.tables,
        watermark=result.numbers.watermark,
        files=files,
        locale=read_locale(order.target),
        left_out=result.left_out,
    )


def _reload(unfinished: Path) -> Stored:
    path = unfinished.with_name(unfinished.name.removesuffix(".unfinished"))
    stored = load_entry(path).stored
    if stored is None:
        raise DamagedData("the backup is not there after it was finished", path=str(path))
    return stored
