"""The seam between backups and the three databases: what each must be able to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from des_core.backup.findings import Finding
from des_core.backup.identity import LiveServer, Target
from des_core.backup.manifest import Manifest, ToolRun
from des_core.backup.numbers import CountedTables, Numbers
from des_core.backup.progress import Listener, ignore
from des_core.basics.identifiers import Dialect, TableName


class Layout(StrEnum):
    """What a backup's directory holds."""

    CUSTOM = "custom"
    """PostgreSQL: one file of pg_dump's custom format."""
    DIRECTORY = "directory"
    """PostgreSQL: one file per table, written and read by many processes at once."""
    SQL = "sql"
    """MySQL and MariaDB: statements, compressed."""
    COPY = "copy"
    """SQLite: a database file."""


class Squeeze(StrEnum):
    """How data is compressed; `auto` is what suits the database."""

    AUTO = "auto"
    ZSTD = "zstd"
    GZIP = "gzip"
    NONE = "none"


DEFAULT_LAYOUTS = {
    Dialect.POSTGRES: Layout.CUSTOM,
    Dialect.MYSQL: Layout.SQL,
    Dialect.SQLITE: Layout.COPY,
}
LAYOUTS = {
    Dialect.POSTGRES: (Layout.CUSTOM, Layout.DIRECTORY),
    Dialect.MYSQL: (Layout.SQL,),
    Dialect.SQLITE: (Layout.COPY,),
}


@dataclass(frozen=True)
class DumpOrder:
    """What to dump and how. `directory` is where the files go, `scratch` a private directory."""

    target: Target
    server: LiveServer
    counted: CountedTables
    chosen: tuple[TableName, ...] | None
    directory: Path
    scratch: Path
    layout: Layout
    squeeze: Squeeze = Squeeze.AUTO
    jobs: int = 1
    lock_timeout_s: float = 1.0
    listener: Listener = ignore


@dataclass(frozen=True)
class DumpResult:
    """The numbers of the dump's own snapshot, how the tool ended, and what it leaves out."""

    numbers: Numbers
    tool: ToolRun
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stored:
    """A finished backup: its directory, its manifest, and the manifest's hash."""

    path: Path
    manifest: Manifest
    manifest_sha256: str


@dataclass
class Restored:
    """A scratch database with a backup's content; `notes` say in words what it came without."""

    target: Target
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


class Dumper(Protocol):
    """One database product's way to dump, to read a dump back, and to restore it."""

    def dump(self, order: DumpOrder) -> DumpResult:
        """Write the files. CheckFailed where the tool fails."""
        ...

    def examine(self, stored: Stored, scratch: Path) -> Iterator[Finding]:
        """L2: read everything by the database's own tool; no server is needed."""
        ...

    def restore(
        self, stored: Stored, target: Target | None, scratch: Path, jobs: int
    ) -> AbstractContextManager[Restored]:
        """L3: a scratch database with the backup's content, gone at the end of the block.

        As near to a real restore as the server allows. CheckFailed where the restore fails.
        """
        ...
