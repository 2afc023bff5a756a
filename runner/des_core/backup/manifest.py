"""The manifest: what a backup holds and where it came from, written last and sealed by its hash.

A backup is a directory with `manifest.json` and the files that it lists. A directory without one
was never finished.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from des_core.basics.errors import DamagedData
from des_core.basics.identifiers import TableName
from des_core.basics.regular_files import open_regular
from des_core.basics.timestamps import format_utc

FORMAT = "des-admin-backup/1"
FILE_NAME = "manifest.json"
MAX_BYTES = 64 << 20
SEAL = "manifest_sha256"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the backup. `path` is relative, with slashes."""

    path: str
    size_bytes: int
    sha256: str
    compression: str | None = None


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Which server and database. `server_id` survives restarts and renames of the host."""

    dialect: str
    product: str
    version: str
    server_id: str
    database: str
    label: str


@dataclass(frozen=True, slots=True)
class ToolRun:
    """The program that wrote the backup, and how it ended. Arguments hold no secret."""

    program: str
    version: str
    arguments: tuple[str, ...]
    exit_code: int
    stderr: str


@dataclass(frozen=True, slots=True)
class TableNumbers:
    """What one table held in the snapshot. Times and sizes only where the table has them."""

    table: str
    rows: int
    oldest: datetime | None = None
    newest: datetime | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class WatermarkNumbers:
    """The watermark in the snapshot."""

    archived_until: datetime
    lag_days: int
    fence: int


@dataclass(frozen=True, slots=True)
class SourceNames:
    """The table `files` and its columns, as they were configured.

    `default_schema` is where a table without a schema was found.
    """

    table_name: str
    schema_name: str | None
    default_schema: str | None
    uid_column: str
    created_at_column: str
    location_column: str
    size_column: str | None
    timezone: str


@dataclass(frozen=True, slots=True)
class DatabaseLocale:
    """How the database was made: for MySQL and MariaDB encoding and `collate` are its defaults.

    `provider` and `provider_locale` are PostgreSQL's letter and name for ICU and built-in ones.
    """

    encoding: str
    collate: str | None = None
    ctype: str | None = None
    provider: str | None = None
    provider_locale: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that a check compares with. `tables` were counted in the dump's own snapshot.

    `left_out` says in words what of the database or its server is not in the backup.
    """

    name: str
    des_admin: str
    layout: str
    server: ServerIdentity
    roles: tuple[str, ...]
    source: SourceNames
    revision: tuple[str, ...]
    chosen_tables: tuple[str, ...] | None
    tool: ToolRun
    started_at: datetime
    finished_at: datetime
    tables: tuple[TableNumbers, ...]
    watermark: WatermarkNumbers | None
    files: tuple[FileEntry, ...]
    locale: DatabaseLocale | None = None
    left_out: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(entry.size_bytes for entry in self.files)

    @property
    def files_table(self) -> TableName:
        """The application's table."""
        return TableName(self.source.table_name, self.source.schema_name)

    @property
    def table_names(self) -> dict[str, TableNumbers]:
        """The counted tables by their names without a schema."""
        files = self.files_table
        return {
            files.name if numbers.table == str(files) else numbers.table: numbers
            for numbers in self.tables
        }


def seal(manifest: Manifest) -> tuple[str, str]:
    """The manifest as JSON text with its own hash in it, and that hash."""
    tree = {"format": FORMAT, **_plain(asdict(manifest))}
    digest = _digest(tree)
    return json.dumps({**tree, SEAL: digest}, indent=2, ensure_ascii=True) + "\n", digest


def write_manifest(directory: Path, manifest: Manifest) -> str:
    """Write, sync, read back; returns the hash. The data files must be synced already."""
    text, digest = seal(manifest)
    target = directory / FILE_NAME
    temporary = directory / f".{FILE_NAME}.tmp"
    with open(temporary, "x", encoding="ascii", opener=_private) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(target)
    sync_directory(directory)
    if read_manifest(directory)[1] != digest:
        raise DamagedData("the manifest does not read back as written", path=str(target))
    return digest


def read_manifest(directory: Path) -> tuple[Manifest, str]:
    """The manifest and its hash; FileNotFoundError without one, DamagedData for a broken seal."""
    path = directory / FILE_NAME
    with open_regular(path) as file:
        raw = file.read(MAX_BYTES + 1)
    try:
        tree = json.loads(raw.decode("ascii")) if len(raw) <= MAX_BYTES else None
    except (ValueError, RecursionError) as exc:
        raise _damaged(path, "it is not JSON") from exc
    if not isinstance(tree, dict):
        raise _damaged(path, "it is not a manifest")
    digest = tree.pop(SEAL, None)
    if digest != _digest(tree):
        raise _damaged(path, "its content does not fit its own hash")
    if tree.pop("format", None) != FORMAT:
        raise _damaged(path, f"its format is not {FORMAT}")
    return _parse(tree, path), str(digest)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parse(tree: dict[str, Any], path: Path) -> Manifest:
    from pydantic import ValidationError

    try:
        manifest: Manifest = _adapter().validate_python(tree)
    except ValidationError as exc:
        where = ".".join(str(part) for part in exc.errors(include_input=False)[0]["loc"])
        raise _damaged(path, f"{where} is missing or wrong") from None
    for entry in manifest.files:
        parts = PurePosixPath(entry.path)
        if parts.is_absolute() or ".." in parts.parts or not parts.parts:
            raise _damaged(path, f"it names a file outside of the backup: {entry.path!r}")
    return manifest


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Manifest)


def _damaged(path: Path, why: str) -> DamagedData:
    return DamagedData(
        f"the manifest cannot be trusted: {why}",
        hint="make another backup: des-admin backup create",
        path=str(path),
    )


def _digest(tree: dict[str, Any]) -> str:
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_utc(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
